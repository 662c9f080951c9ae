#include "gateway/check.hpp"

#include "gateway/login_users.hpp"
#include "gateway/policy_review.hpp"
#include "gateway/settings.hpp"

namespace imdsgate {

CheckReport check_configuration(std::filesystem::path const &file, bool named,
                                std::filesystem::path const &dmi, std::filesystem::path const &passwd) {
  auto const configuration = load_configuration(file, named, dmi);
  CheckReport report;
  for (auto const &problem : configuration.problems) report.problems += problem.to_string() + '\n';
  if (configuration.ok()) {
    auto const now = std::chrono::system_clock::now();
    auto const logins = login_users(passwd);
    if (!logins) {
      Problem const unknown{
          file.string(), 0, 0, true,
          "who logs in is not known, so grants to such users are not told of: " + logins.error().detail};
      report.problems += unknown.to_string() + '\n';
    }
    for (auto const &problem : review(configuration, file.string(), logins ? *logins : LoginUsers{}, now)) {
      report.problems += problem.to_string() + '\n';
    }
    report.effective = show(configuration);
  } else {
    report.exit_status = 2;
  }
  return report;
}

}  // namespace imdsgate
