#include "gateway/profiles.hpp"

#include <algorithm>
#include <stdexcept>

#include "gateway/entry_reader.hpp"
#include "model/embedded.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

constexpr std::string_view kDirectory = "config/profiles/";
constexpr std::string_view kSuffix = ".yaml";

std::string file_of(std::string_view name) {
  return std::string(kDirectory) + std::string(name) + std::string(kSuffix);
}

// The shipped file, opened: its parameters and the value that holds its entries.
struct Profile {
  Reader reader;
  std::vector<std::string> parameters;
  std::vector<Value> entries;

  explicit Profile(std::string const &name) : reader(file_of(name)) {
    auto const text = embedded(file_of(name));
    auto const root = text ? reader.load(*text) : std::nullopt;
    if (root) {
      Map map(reader, *root);
      if (auto const value = map.find("parameters")) {
        parameters = reader.text_list(*value).value_or(std::vector<std::string>{});
      }
      if (auto const value = map.require("allow"))
        entries = reader.list(*value).value_or(std::vector<Value>{});
      map.finish();
    }
    must_be_good();
  }

  void must_be_good() const {
    for (auto const &problem : reader.problems()) {
      if (!problem.warning) throw std::runtime_error(problem.to_string());
    }
    if (entries.empty()) throw std::runtime_error(reader.file() + ": no entries");
  }
};

// What systemd takes for a unit's name (systemd.unit(5)), without what would end a string of EQL.
bool is_unit_name(std::string_view text) {
  auto const allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(":-_.@").find(c) != std::string_view::npos;
  };
  bool const kind = text.ends_with(".service") || text.ends_with(".scope");
  return kind && !text.starts_with('.') && std::ranges::all_of(text, allowed);
}

void read_parameter(Reader &reader, Map &map, std::string const &key, ProfileChoice &choice) {
  auto const value = map.require(key);
  auto const text = value ? reader.text(*value) : std::nullopt;
  if (!text) return;
  if (!is_unit_name(*text)) {
    reader.error(*value, "expected a unit's name, such as my-app.service, found " + *text);
    return;
  }
  choice.parameters[key] = *text;
}

void report_unknown(Reader &reader, Value const &value, std::string const &name) {
  auto const known = profile_names();
  auto const near = yaml::nearest(name, known);
  std::string all;
  for (auto const &each : known) all += (all.empty() ? "" : ", ") + each;
  reader.error(
      value, "there is no profile " + name + (near ? "; did you mean " + *near + "?" : "; there are " + all));
}
}  // namespace

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (auto name : embedded_names(kDirectory)) {
    name.remove_prefix(kDirectory.size());
    name.remove_suffix(kSuffix.size());
    names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::optional<ProfileChoice> read_profile_choice(Reader &reader, Value const &value) {
  ProfileChoice choice;
  std::optional<Map> map;
  if (value.node.IsMap()) map.emplace(reader, value);
  auto const name = map ? map->require("name") : value;
  auto const text = name ? reader.text(*name) : std::nullopt;
  if (!text) return std::nullopt;
  choice.name = *text;
  if (!std::ranges::binary_search(profile_names(), choice.name)) {
    report_unknown(reader, *name, choice.name);
    return std::nullopt;
  }
  auto const wanted = Profile(choice.name).parameters;
  for (auto const &parameter : wanted) {
    if (map) {
      read_parameter(reader, *map, parameter, choice);
    } else {
      reader.error(value, "the profile " + choice.name + " needs its " + parameter +
                              ": write {name: " + choice.name + ", " + parameter + ": …}");
    }
  }
  if (map) map->finish();
  if (choice.parameters.size() != wanted.size()) return std::nullopt;
  return choice;
}

std::vector<PolicyEntry> profile_entries(ProfileChoice const &choice) {
  Profile profile(choice.name);
  std::vector<PolicyEntry> entries;
  EntryReader reader(profile.reader, EntryKind::allow, choice.parameters);
  for (auto const &item : profile.entries) {
    entries.push_back(reader.read(item));
    entries.back().name = choice.name + '/' + entries.back().name;
    entries.back().profile = choice.name;
  }
  profile.must_be_good();
  return entries;
}

}  // namespace imdsgate
