// allow, deny and profiles.
#include <algorithm>
#include <map>

#include "decide/path_classes.hpp"
#include "gateway/entry_reader.hpp"
#include "gateway/profiles.hpp"
#include "gateway/settings_reader.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

// What will be redirected; nothing when that is an error of its own.
std::vector<Endpoint> guarded(Settings const &settings) {
  if (!settings.endpoints.empty() || !settings.provider_known) return settings.endpoints;
  return PathCatalogue::shipped(settings.provider)->endpoints();
}

// A request to another address never reaches the gateway.
void check_endpoints_guarded(Reader &reader, Value const &value, PolicyEntry const &entry,
                             std::vector<Endpoint> const &guarded) {
  for (auto const &each : entry.endpoints) {
    auto const covered = [&](Endpoint const &endpoint) { return each.covers(endpoint); };
    if (guarded.empty() || std::ranges::any_of(guarded, covered)) continue;
    std::string known;
    for (auto const &endpoint : guarded) known += (known.empty() ? "" : ", ") + endpoint.to_string();
    reader.error(
        value, each.to_string() + " is not guarded, so the entry never applies there; guarded are " + known);
  }
}
}  // namespace

void SettingsReader::read_entries(Map &root) {
  std::map<std::string, int> lines;
  auto const endpoints = guarded(configuration.settings);
  auto const read = [&](std::string_view key, EntryKind kind, std::vector<PolicyEntry> &entries) {
    auto const value = root.find(key);
    if (!value) return;
    EntryReader entry_reader(reader, kind);
    for (auto const &item : reader.list(*value).value_or(std::vector<Value>{})) {
      entries.push_back(entry_reader.read(item));
      check_endpoints_guarded(reader, item, entries.back(), endpoints);
      auto const &name = entries.back().name;
      auto const [first, is_new] = lines.emplace(name, item.place.line);
      if (!is_new && !name.empty()) {
        reader.error(item,
                     "the name " + name + " is given twice, first on line " + std::to_string(first->second));
      }
    }
  };
  read("allow", EntryKind::allow, configuration.choices.allow);
  read("deny", EntryKind::deny, configuration.choices.deny);
  if (auto const profiles = root.find("profiles")) {
    for (auto const &item : reader.list(*profiles).value_or(std::vector<Value>{})) {
      auto const choice = read_profile_choice(reader, item);
      if (!choice) continue;
      auto &chosen = configuration.profiles;
      bool const again = std::ranges::find(chosen, *choice) != chosen.end();
      if (again) reader.error(item, "the profile " + choice->name + " is given twice");
      chosen.push_back(*choice);
      auto entries = profile_entries(*choice);
      std::ranges::move(entries, std::back_inserter(configuration.choices.allow));
    }
  }
}

}  // namespace imdsgate
