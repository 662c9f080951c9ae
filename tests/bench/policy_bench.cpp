// What many entries cost: loading a configuration that has them, and deciding with them, beside one that has
// ten. Prints medians of so many rounds and their ratio.
//   policy_bench [ENTRIES] [ROUNDS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/settings.hpp"
#include "unit/decide/people.hpp"

namespace {

using namespace imdsgate;
using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

void write_configuration(std::filesystem::path const &file, int entries) {
  std::ofstream out(file);
  out << "provider: ec2\nallow:\n";
  for (int i = 0; i < entries; ++i) {
    out << "  - name: service-" << i << "\n    when: process.executable == \"/opt/service-" << i
        << "/bin/agent\" and user.id == \"" << 10000 + i << "\"\n    methods: [GET, PUT]\n"
        << "    paths: [/latest/api/token, \"/latest/meta-data/iam/security-credentials/role-" << i
        << "\"]\n";
  }
}

Configuration load(std::filesystem::path const &file, std::vector<double> &took) {
  auto const start = Clock::now();
  auto configuration = load_configuration(file, true);
  took.push_back(microseconds(Clock::now() - start));
  if (!configuration.ok()) std::printf("%s\n", configuration.problems.front().to_string().c_str());
  return configuration;
}

double decision_time(Policy const &policy, int number) {
  auto const path = "/opt/service-" + std::to_string(number) + "/bin/agent";
  Lineage lineage;
  lineage.process = process(path, path, static_cast<uid_t>(10000 + number));
  lineage.parent = process("/usr/lib/systemd/systemd", "/sbin/init", 0);
  Attribution attribution;
  attribution.holders = {std::make_shared<Lineage const>(std::move(lineage))};
  auto const request =
      canonicalize(
          policy,
          raw_request("GET", "/latest/meta-data/iam/security-credentials/role-" + std::to_string(number),
                      {{"Host", "169.254.169.254"}, {"X-aws-ec2-metadata-token", "AQ=="}}))
          .value();
  AccessRequest const access{request, &attribution, std::nullopt, "169.254.169.254:80",
                             std::chrono::system_clock::now()};
  constexpr int kTimes = 200;
  auto const start = Clock::now();
  for (int i = 0; i < kTimes; ++i) {
    if (!decide(policy, access).grant) std::abort();
  }
  return microseconds(Clock::now() - start) / kTimes;
}
}  // namespace

int main(int argc, char **argv) {
  int const entries = argc > 1 ? std::atoi(argv[1]) : 10000;
  int const rounds = argc > 2 ? std::atoi(argv[2]) : 15;
  auto const directory = std::filesystem::temp_directory_path() /
                         ("policy_bench-" + std::to_string(Clock::now().time_since_epoch().count()));
  std::filesystem::create_directory(directory);
  write_configuration(directory / "many.yaml", entries);
  write_configuration(directory / "few.yaml", 10);
  std::vector<double> load_many, load_few, decide_many, decide_few;
  for (int round = 0; round < rounds; ++round) {
    auto const many = load(directory / "many.yaml", load_many);
    auto const few = load(directory / "few.yaml", load_few);
    if (!many.ok() || !few.ok()) return 1;
    decide_many.push_back(decision_time(*many.policies.enforce, entries - 1 - round));
    decide_few.push_back(decision_time(*few.policies.enforce, round % 10));
  }
  std::filesystem::remove_all(directory);
  std::printf("load %d entries: %.1f ms (10: %.1f ms, x%.0f)\n", entries, median(load_many) / 1000,
              median(load_few) / 1000, median(load_many) / median(load_few));
  std::printf("decide with %d entries: %.2f us (10: %.2f us, x%.2f)\n", entries, median(decide_many),
              median(decide_few), median(decide_many) / median(decide_few));
}
