#include <algorithm>
#include <map>

#include "decide/event_of.hpp"
#include "decide/path_pattern.hpp"
#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

constexpr std::string_view kLater = " is not available in this version";

enum class EntryKind { allow, deny };

bool names(eql::Query const &when, std::string_view field) {
  return std::ranges::binary_search(when.fields, field);
}

// A misspelt field is missing in every event: an allow entry would never apply, and neither would a denial.
void check_fields_exist(Reader &reader, Value const &value, eql::Query const &when) {
  auto const known = event_fields();
  auto const places = reader.places(value);
  for (auto const &field : when.fields) {
    if (std::ranges::binary_search(known, field)) continue;
    auto const near = yaml::nearest(field, {known.begin(), known.end()});
    auto const at = value.node.Scalar().find(field);
    auto const place = at < places.size() ? places[at] : value.place;
    reader.error(place,
                 value.name + ": unknown field " + field + (near ? "; did you mean " + *near + "?" : ""));
  }
}

// Grants hold by what is proven, so these are entries that give less, or to more, than they seem to.
void warn_of_weak_grant(Reader &reader, Value const &value, eql::Query const &when) {
  for (auto const &field : when.fields) {
    if (never_proven(field)) {
      reader.warning(value,
                     field + " is what a process says of itself and grants nothing; name process.executable");
    }
  }
  if (names(when, "process.working_directory")) {
    reader.warning(value, "a process chooses its process.working_directory; name process.executable");
  }
  if (names(when, "process.name") && !names(when, "process.executable")) {
    reader.warning(value, "a process.name is the same in every directory; name process.executable");
  }
  if (!names(when, "user.id")) {
    reader.warning(value, "names no user.id, so every user who can run the program gets this grant");
  }
}

struct EntryReader {
  Reader &reader;
  EntryKind kind;

  void read_when(Map &map, PolicyEntry &entry) {
    auto const value = map.find("when");
    auto const text = value ? reader.text(*value) : std::nullopt;
    if (!text) return;
    eql::Origin const origin{reader.file(), value->place.line, value->place.column, 0, reader.places(*value)};
    auto compiled = eql::compile_expression(*text, origin);
    if (auto *problem = std::get_if<Problem>(&compiled)) {
      problem->text = value->name + ": " + problem->text;
      reader.add(std::move(*problem));
      return;
    }
    entry.when = std::get<eql::Query>(std::move(compiled));
    entry.when_text = *text;
    check_fields_exist(reader, *value, *entry.when);
    if (kind == EntryKind::allow) warn_of_weak_grant(reader, *value, *entry.when);
  }

  void read_methods(Map &map, PolicyEntry &entry) {
    auto const value = map.find("methods");
    auto const items = value ? reader.list(*value) : std::nullopt;
    if (items && items->empty()) reader.error(*value, "is empty; leave it out for every method");
    for (auto const &item : items.value_or(std::vector<Value>{})) {
      Words<std::string> words = {{"GET", "GET"},      {"HEAD", "HEAD"},       {"PUT", "PUT"},
                                  {"POST", "POST"},    {"OPTIONS", "OPTIONS"}, {"PATCH", "PATCH"},
                                  {"DELETE", "DELETE"}};
      if (auto method = reader.choice<std::string>(item, words)) entry.methods.push_back(*std::move(method));
    }
  }

  void read_paths(Map &map, PolicyEntry &entry) {
    auto const value = map.find("paths");
    auto const items = value ? reader.list(*value) : std::nullopt;
    if (items && items->empty()) reader.error(*value, "is empty; leave it out for every path");
    for (auto const &item : items.value_or(std::vector<Value>{})) {
      auto const text = reader.text(item);
      if (!text) continue;
      auto pattern = normalise_pattern(*text);
      if (!pattern) {
        reader.error(item, pattern.error().detail);
      } else {
        entry.paths.push_back(*std::move(pattern));
      }
    }
  }

  void read_limits(Map &map, PolicyEntry &entry) {
    if (auto const value = map.find("expires")) {
      entry.expires = reader.timestamp(*value);
      if (entry.expires && *entry.expires <= std::chrono::system_clock::now()) {
        reader.warning(*value, "has passed: the entry does nothing");
      }
    }
    if (kind == EntryKind::deny) return;
    if (auto const value = map.find("imdsv1")) {
      entry.allow_imdsv1 = reader.choice<bool>(*value, {{"allow", true}}).value_or(false);
    }
    if (auto const value = map.find("token_binding")) {
      entry.allow_foreign_token = reader.choice<bool>(*value, {{"allow", true}}).value_or(false);
    }
  }

  PolicyEntry read(Value const &value) {
    PolicyEntry entry;
    Map map(reader, value);
    if (auto const name = map.require("name")) entry.name = reader.text(*name).value_or("");
    read_when(map, entry);
    read_methods(map, entry);
    read_paths(map, entry);
    read_limits(map, entry);
    map.finish();
    bool const for_all = map.is_map() && !map.find("when");
    if (for_all && kind == EntryKind::allow) {
      reader.warning(value, "has no when, so every process that can be named gets this grant");
    }
    if (for_all && kind == EntryKind::deny && !map.find("methods") && !map.find("paths")) {
      reader.warning(value, "denies every request of everyone");
    }
    return entry;
  }
};
}  // namespace

void SettingsReader::read_classes(Map &map, std::array<std::optional<Verdict>, 6> &classes) {
  auto const value = map.find("classes");
  if (!value) return;
  Map words(reader, *value);
  for (auto const &[word, path_class] : kClasses) choose(words, word, kVerdicts, classes[index(path_class)]);
  words.finish();
}

void SettingsReader::read_verdicts(Map &root) {
  auto &choices = configuration.choices;
  choose(root, "unattributed", kVerdicts, choices.unattributed);
  read_classes(root, choices.classes);
  choose(root, "unknown", kVerdicts, choices.unknown);
}

void SettingsReader::read_entries(Map &root) {
  std::map<std::string, int> lines;
  auto const read = [&](std::string_view key, EntryKind kind, std::vector<PolicyEntry> &entries) {
    auto const value = root.find(key);
    if (!value) return;
    for (auto const &item : reader.list(*value).value_or(std::vector<Value>{})) {
      EntryReader entry_reader{reader, kind};
      entries.push_back(entry_reader.read(item));
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
      if (auto const name = reader.text(item)) reader.error(item, "profile " + *name + std::string(kLater));
    }
  }
}

}  // namespace imdsgate
