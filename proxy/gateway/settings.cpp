#include "gateway/settings.hpp"

#include <algorithm>

#include "decide/path_classes.hpp"
#include "gateway/dmi.hpp"
#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

namespace fs = std::filesystem;

// endpoints were read before: with them, an unknown cloud is a warning.
void read_provider(SettingsReader &self, yaml::Map &root, fs::path const &dmi) {
  auto &settings = self.configuration.settings;
  std::optional<Provider> provider;
  auto const value = root.find("provider");
  if (value) {
    auto const choice = self.reader.choice(*value, kProviders);
    if (!choice) return;
    provider = *choice;
  }
  if (!provider) provider = provider_by_dmi(dmi);
  if (provider) {
    settings.provider = *provider;
    return;
  }
  Place const place = value ? value->place : Place{0, 0};
  std::string const unknown = "provider: auto finds no known cloud in " + dmi.string();
  settings.provider_known = false;
  auto const &particular = self.configuration.choices.particular;
  bool const all_named = !particular.empty() && std::ranges::all_of(particular, [](auto const &endpoint) {
    return endpoint.second.provider || provider_at(endpoint.first.address);
  });
  if (all_named) return;
  if (root.find("endpoints")) {
    self.reader.add({self.reader.file(), place.line, place.column, true,
                     unknown + ": ec2's protocol is taken, with every service's path classes, where an "
                               "endpoint names no provider"});
  } else {
    self.reader.add({self.reader.file(), place.line, place.column, false,
                     unknown + "; name the provider, or give endpoints"});
  }
}

void read_root(SettingsReader &self, yaml::Map &root, fs::path const &dmi) {
  self.choose(root, "mode", kModes, self.configuration.settings.mode);
  self.read_endpoints(root);
  read_provider(self, root, dmi);
  self.read_listen(root);
  self.read_control(root);
  self.read_upstream(root);
  self.read_firewall(root);
  self.read_containers(root);
  self.read_rules(root);
  self.read_verdicts(root);
  self.read_ec2(root);
  self.read_entries(root);
  self.read_sinks(root);
  self.read_metrics(root);
  self.read_limits(root);
  root.finish();
}

// In the order a person reads the files in: by place, the file itself first.
void sort_problems(std::vector<Problem> &problems, std::string const &file) {
  auto const key = [&](Problem const &problem) {
    return std::tuple(problem.file != file, problem.file, problem.line, problem.column);
  };
  std::ranges::stable_sort(problems, {}, key);
}

void complete(Configuration &configuration) {
  auto &[settings, choices, profiles, rule_files, policies, problems] = configuration;
  if (settings.endpoints.empty() && settings.provider_known) {
    settings.endpoints = PathCatalogue::shipped(settings.provider)->endpoints();
    settings.endpoints_by_default = true;
  }
  choices.provider = settings.provider;
  choices.provider_known = settings.provider_known;
  choices.endpoints = settings.endpoints;
  if (configuration.ok()) policies = build_policies(choices);
}
}  // namespace

bool Configuration::ok() const {
  return std::ranges::all_of(problems, &Problem::warning);
}

Configuration load_configuration(fs::path const &file, bool named, fs::path const &dmi) {
  Configuration configuration;
  yaml::Reader reader(file.string());
  auto text = read_text_file(file);
  if (!text && (named || text.error().code != Errc::not_found)) {
    configuration.problems.push_back({file.string(), 0, 0, false, text.error().detail});
    return configuration;
  }
  SettingsReader self{reader, configuration, fs::absolute(file).parent_path()};
  if (auto const root = reader.load(text ? *text : std::string())) {
    yaml::Map map(reader, *root);
    if (map.is_map()) read_root(self, map, dmi);
  }
  configuration.problems = reader.take();
  sort_problems(configuration.problems, file.string());
  complete(configuration);
  return configuration;
}

}  // namespace imdsgate
