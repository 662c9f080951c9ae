#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

#include "decide/event_of.hpp"
#include "gateway/settings_reader.hpp"
#include "model/embedded.hpp"
#include "rules/load_rules.hpp"

namespace imdsgate {
namespace {

namespace fs = std::filesystem;
using yaml::Value;

constexpr char const *kShippedRule = "config/rules/unusual-imds-request.yaml";
constexpr std::uintmax_t kLargestFile = 4u << 20;

// Design §4: published rules exclude by working directory, and a process goes where it likes.
void warn_of_working_directory(yaml::Reader &reader, Rule const &rule, std::string const &file) {
  auto const fields = eql::query_fields(rule.query);
  auto const is_directory = [](auto const &field) { return field.name.ends_with(".working_directory"); };
  auto const field = std::ranges::find_if(fields, is_directory);
  if (field == fields.end()) return;
  reader.add({file, field->place.line, field->place.column, true,
              "rule " + rule.id + " goes by " + field->name +
                  ", which a process chooses itself: an exclusion by it can be had by anyone"});
}

// A misspelt field is missing in every event: its terms are false, and the rule may never match.
void warn_of_unknown_fields(yaml::Reader &reader, Rule const &rule, std::string const &file) {
  auto const known = event_fields();
  std::set<std::string> warned;
  for (auto const &field : eql::query_fields(rule.query)) {
    if (field.optional || std::ranges::binary_search(known, field.name)) continue;
    if (!warned.insert(field.name).second) continue;
    auto const near = yaml::nearest(field.name, {known.begin(), known.end()});
    reader.add({file, field.place.line, field.place.column, true,
                "rule " + rule.id + ": no event has a field " + field.name +
                    (near ? "; did you mean " + *near + "?" : "")});
  }
}

void warn_of_fields(yaml::Reader &reader, Rule const &rule, std::string const &file) {
  warn_of_unknown_fields(reader, rule, file);
  warn_of_working_directory(reader, rule, file);
}

}  // namespace

Result<std::string> read_text_file(fs::path const &file) {
  std::error_code ec;
  auto const status = fs::status(file, ec);
  if (ec)
    return Error{ec == std::errc::no_such_file_or_directory ? Errc::not_found : Errc::unreadable,
                 ec.message()};
  if (!fs::is_regular_file(status)) return Error{Errc::unreadable, "not a regular file"};
  auto const size = fs::file_size(file, ec);
  if (!ec && size > kLargestFile) return Error{Errc::refused, "larger than 4 MiB"};
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream && size > 0) text << stream.rdbuf();
  if (!stream || !text) {
    return Error{Errc::unreadable, errno != 0 ? std::generic_category().message(errno) : "could not be read"};
  }
  return std::move(text).str();
}

void SettingsReader::use_shipped_rule() {
  auto const text = embedded(kShippedRule);
  if (!text) {
    reader.add({reader.file(), 0, 0, false, "the shipped rule is not built in; name the rules"});
    return;
  }
  std::string file(kShippedRule);
  file.append(" (built in)");
  auto loaded = load_rule(*text, file);
  for (auto &problem : loaded.problems) reader.add(std::move(problem));
  if (!loaded.rule) return;
  warn_of_fields(reader, *loaded.rule, file);
  configuration.choices.rules.push_back(std::move(loaded.rule));
}

void SettingsReader::read_rules(yaml::Map &root) {
  auto const value = root.find("rules");
  if (!value) return use_shipped_rule();
  auto &rules = configuration.choices.rules;
  auto &files = configuration.rule_files.emplace();
  for (auto const &item : reader.list(*value).value_or(std::vector<Value>{})) {
    auto const file = path(item);
    if (!file) continue;
    auto const text = read_text_file(*file);
    if (!text) {
      reader.error(item, *file + ": " + text.error().detail);
      continue;
    }
    auto loaded = load_rules(*text, *file);
    for (auto &problem : loaded.problems) reader.add(std::move(problem));
    files.push_back(*file);
    for (auto &rule : loaded.rules) {
      auto const same = [&](auto const &other) { return other->id == rule->id; };
      if (std::ranges::any_of(rules, same)) reader.error(item, "a rule with the id " + rule->id + " is there");
      warn_of_fields(reader, *rule, *file);
      rules.push_back(std::move(rule));
    }
  }
}

}  // namespace imdsgate
