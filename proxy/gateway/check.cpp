#include "gateway/check.hpp"

#include "gateway/settings.hpp"

namespace imdsgate {

CheckReport check_configuration(std::filesystem::path const &file, bool named,
                                std::filesystem::path const &dmi) {
  auto const configuration = load_configuration(file, named, dmi);
  CheckReport report;
  for (auto const &problem : configuration.problems) report.problems += problem.to_string() + '\n';
  if (configuration.ok()) {
    report.effective = show(configuration);
  } else {
    report.exit_status = 2;
  }
  return report;
}

}  // namespace imdsgate
