// Reads one `allow` or `deny` entry, of the configuration or of a profile.
#pragma once

#include <map>

#include "decide/policy_entry.hpp"
#include "model/strict_yaml.hpp"

namespace imdsgate {

class EntryReader {
 public:
  // `parameters`: in a `when`, {key} stands for the value.
  EntryReader(yaml::Reader &reader, EntryKind kind, std::map<std::string, std::string> parameters = {})
      : reader_(reader), kind_(kind), parameters_(std::move(parameters)) {}

  // What is wrong with it is collected in the reader.
  PolicyEntry read(yaml::Value const &value);

 private:
  void read_when(yaml::Map &map, PolicyEntry &entry);
  void read_methods(yaml::Map &map, PolicyEntry &entry);
  void read_paths(yaml::Map &map, PolicyEntry &entry);
  void read_query(yaml::Map &map, PolicyEntry &entry);
  void read_endpoints(yaml::Map &map, PolicyEntry &entry);
  void read_limits(yaml::Map &map, PolicyEntry &entry);
  std::optional<EntryEndpoint> endpoint(yaml::Value const &value);
  std::vector<std::string> values(yaml::Value const &value);
  std::vector<yaml::Value> items(std::optional<yaml::Value> const &value, std::string_view everything);

  yaml::Reader &reader_;
  EntryKind kind_;
  std::map<std::string, std::string> parameters_;
};

}  // namespace imdsgate
