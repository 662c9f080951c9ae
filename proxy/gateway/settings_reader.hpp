// The parts of load_configuration(), one a section of the file. Each reads its keys into `configuration` and
// collects every problem in the reader.
#pragma once

#include <filesystem>

#include "gateway/settings.hpp"
#include "model/strict_yaml.hpp"

namespace imdsgate {

struct SettingsReader {
  yaml::Reader &reader;
  Configuration &configuration;
  std::filesystem::path base;  // what relative paths are relative to

  // settings_sections.cpp
  void read_endpoints(yaml::Map &root);
  EndpointChoices read_particulars(yaml::Map &map);
  void read_classes(yaml::Map &map, std::array<std::optional<Verdict>, 6> &classes);  // and of an endpoint
  void read_listen(yaml::Map &root);
  void read_control(yaml::Map &root);
  void read_upstream(yaml::Map &root);
  void read_firewall(yaml::Map &root);
  void read_sinks(yaml::Map &root);
  void read_metrics(yaml::Map &root);
  void read_limits(yaml::Map &root);

  // settings_containers.cpp
  void read_containers(yaml::Map &root);

  // settings_policy.cpp
  void read_verdicts(yaml::Map &root);  // unattributed, classes

  // settings_entries.cpp
  void read_entries(yaml::Map &root);  // allow, deny, profiles

  // settings_ec2.cpp
  void read_ec2(yaml::Map &root);

  // settings_rules.cpp
  void read_rules(yaml::Map &root);
  void use_shipped_rule();

  // The value of `key` in `into` when it is there and one of `words`.
  template <class Enum, class Words>
  void choose(yaml::Map &map, std::string_view key, Words const &words, Enum &into) {
    if (auto const value = map.find(key)) {
      if (auto const chosen = reader.choice(*value, words)) into = *chosen;
    }
  }
  // An absolute path from a text that may be relative to the file.
  std::optional<std::string> path(yaml::Value const &value);
  std::optional<std::string> socket_path(yaml::Value const &value);  // such a one that fits into sockaddr_un, with its NUL
};

// A regular file of at most 4 MiB, whole.
Result<std::string> read_text_file(std::filesystem::path const &file);

}  // namespace imdsgate
