#include "gateway/entry_reader.hpp"

#include <algorithm>

#include "decide/event_of.hpp"
#include "decide/grant_scope.hpp"
#include "decide/path_pattern.hpp"
#include "decide/readings.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

// A misspelt field is missing in every event: an allow entry would never apply, and neither would a denial.
void check_fields_exist(Reader &reader, Value const &value, eql::Query const &when) {
  auto const known = event_fields();
  for (auto const &field : when.fields) {
    if (std::ranges::binary_search(known, field)) continue;
    auto const places = reader.places(value);
    auto const near = yaml::nearest(field, {known.begin(), known.end()});
    auto const at = value.node.Scalar().find(field);
    auto const place = at < places.size() ? places[at] : value.place;
    reader.error(place,
                 value.name + ": unknown field " + field + (near ? "; did you mean " + *near + "?" : ""));
  }
}

void report_faults(Reader &reader, Value const &value, eql::Query const &when) {
  for (auto const &[warning, text] : faults_of(when)) {
    warning ? reader.warning(value, text) : reader.error(value, text);
  }
}

std::string with_parameters(std::string text, std::map<std::string, std::string> const &parameters) {
  for (auto const &[key, value] : parameters) {
    auto const name = '{' + key + '}';
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + value.size())) {
      text.replace(at, name.size(), value);
    }
  }
  return text;
}
}  // namespace

void EntryReader::read_when(Map &map, PolicyEntry &entry) {
  auto const value = map.find("when");
  auto text = value ? reader_.text(*value) : std::nullopt;
  if (!text) return;
  text = with_parameters(*std::move(text), parameters_);
  eql::Origin const origin{reader_.file(), value->place.line, value->place.column, 0, reader_.places(*value)};
  auto compiled = eql::compile_expression(*text, origin);
  if (auto *problem = std::get_if<Problem>(&compiled)) {
    problem->text = value->name + ": " + problem->text;
    reader_.add(std::move(*problem));
    return;
  }
  entry.when = std::get<eql::Query>(std::move(compiled));
  entry.when_text = *std::move(text);
  check_fields_exist(reader_, *value, *entry.when);
  if (kind_ == EntryKind::allow) report_faults(reader_, *value, *entry.when);
}

// The items of a list that must not be empty where it is given.
std::vector<Value> EntryReader::items(std::optional<Value> const &value, std::string_view everything) {
  auto const list = value ? reader_.list(*value) : std::nullopt;
  if (list && list->empty())
    reader_.error(*value, "is empty; leave it out for every " + std::string(everything));
  return list.value_or(std::vector<Value>{});
}

void EntryReader::read_methods(Map &map, PolicyEntry &entry) {
  for (auto const &item : items(map.find("methods"), "method")) {
    Words<std::string> words = {{"GET", "GET"},      {"HEAD", "HEAD"},       {"PUT", "PUT"},
                                {"POST", "POST"},    {"OPTIONS", "OPTIONS"}, {"PATCH", "PATCH"},
                                {"DELETE", "DELETE"}};
    if (auto method = reader_.choice<std::string>(item, words)) entry.methods.push_back(*std::move(method));
  }
}

void EntryReader::read_paths(Map &map, PolicyEntry &entry) {
  for (auto const &item : items(map.find("paths"), "path")) {
    auto const text = reader_.text(item);
    if (!text) continue;
    auto pattern = normalise_pattern(*text);
    if (!pattern) {
      reader_.error(item, pattern.error().detail);
    } else {
      entry.paths.push_back(*std::move(pattern));
    }
  }
}

// One text, or a list of them.
std::vector<std::string> EntryReader::values(Value const &value) {
  std::vector<std::string> texts;
  auto const add = [&](Value const &item) {
    auto text = reader_.text_or_empty(item);
    if (!text) return;
    if (percent_decode(*text) != *text) {
      reader_.error(item, "percent-encoding never matches: write the value as it reads when decoded");
    }
    texts.push_back(*std::move(text));
  };
  if (!value.node.IsSequence()) {
    add(value);
  } else {
    for (auto const &item : reader_.list(value).value_or(std::vector<Value>{})) add(item);
  }
  return texts;
}

void EntryReader::read_query(Map &map, PolicyEntry &entry) {
  auto const value = map.find("query");
  if (!value) return;
  Map parameters(reader_, *value);
  if (parameters.is_map() && parameters.each().empty())
    reader_.error(*value, "is empty; leave it out for every query");
  for (auto const &[key, wanted] : parameters.each()) {
    if (percent_decode(key) != key || key.empty()) {
      reader_.error(wanted, "write the parameter's name as it reads when decoded");
    }
    entry.query.push_back({key, values(wanted)});
  }
}

std::optional<EntryEndpoint> EntryReader::endpoint(Value const &value) {
  EntryEndpoint endpoint;
  std::optional<std::string> text;
  if (value.node.IsMap()) {
    Map map(reader_, value);
    if (auto const address = map.require("address")) text = reader_.text(*address);
    if (auto const port = map.find("port")) {
      auto const number = reader_.unsigned_integer(*port, 1, 65535);
      if (number) endpoint.port = static_cast<std::uint16_t>(*number);
    }
    map.finish();
  } else {
    text = reader_.text(value);
  }
  auto const address = text ? Address::parse(*text) : Result<Address>(Address{});
  if (!address) reader_.error(value, address.error().detail);
  if (!text || !address) return std::nullopt;
  endpoint.address = *address;
  return endpoint;
}

void EntryReader::read_endpoints(Map &map, PolicyEntry &entry) {
  for (auto const &item : items(map.find("endpoints"), "guarded address")) {
    if (auto const one = endpoint(item)) entry.endpoints.push_back(*one);
  }
}

void EntryReader::read_limits(Map &map, PolicyEntry &entry) {
  if (auto const value = map.find("expires")) {
    entry.expires = reader_.timestamp(*value);
    if (entry.expires && *entry.expires <= std::chrono::system_clock::now()) {
      reader_.warning(*value, "has passed: the entry does nothing");
    }
  }
  if (auto const value = map.find("note")) entry.note = reader_.text(*value).value_or("");
  if (kind_ == EntryKind::deny) return;
  if (auto const value = map.find("imdsv1")) {
    entry.allow_imdsv1 = reader_.choice<bool>(*value, {{"allow", true}}).value_or(false);
  }
  if (auto const value = map.find("token_binding")) {
    entry.allow_foreign_token = reader_.choice<bool>(*value, {{"allow", true}}).value_or(false);
  }
}

PolicyEntry EntryReader::read(Value const &value) {
  PolicyEntry entry;
  entry.place = value.place;
  Map map(reader_, value);
  if (auto const name = map.require("name")) entry.name = reader_.text(*name).value_or("");
  read_when(map, entry);
  read_methods(map, entry);
  read_paths(map, entry);
  read_query(map, entry);
  read_endpoints(map, entry);
  read_limits(map, entry);
  map.finish();
  bool const for_all = map.is_map() && !map.find("when");
  if (for_all && kind_ == EntryKind::allow) {
    reader_.warning(value, "has no when, so every process that can be named gets this grant");
  }
  bool const everything =
      entry.methods.empty() && entry.paths.empty() && entry.query.empty() && entry.endpoints.empty();
  if (for_all && kind_ == EntryKind::deny && everything) {
    reader_.warning(value, "denies every request of everyone");
  }
  return entry;
}

}  // namespace imdsgate
