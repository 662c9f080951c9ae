// Shipped allow entries by name: config/profiles/NAME.yaml, carried by the binary.
//
//   parameters: [unit]        # optional: what the configuration has to give; {unit} in a `when` stands for
//   it allow:                    # entries of the configuration's own form
//     - name: …
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "decide/policy_entry.hpp"
#include "model/strict_yaml.hpp"

namespace imdsgate {

// As the configuration names one: `NAME`, or a map of its name and its parameters.
struct ProfileChoice {
  std::string name;
  std::map<std::string, std::string> parameters;
  bool operator==(ProfileChoice const &) const = default;
};

std::vector<std::string> profile_names();  // sorted

// One item of `profiles`; nullopt: it is wrong, and the reader has why. The parameters are those that the
// profile wants, each a text that stands for itself within a string of EQL.
std::optional<ProfileChoice> read_profile_choice(yaml::Reader &reader, yaml::Value const &value);

// Its entries, named NAME/ENTRY. Throws std::runtime_error when the profile is not as it should be: a fault
// of the build, found by a unit test.
std::vector<PolicyEntry> profile_entries(ProfileChoice const &choice);

}  // namespace imdsgate
