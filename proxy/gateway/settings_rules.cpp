#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>

#include "gateway/settings_reader.hpp"
#include "model/embedded.hpp"
#include "rules/rule.hpp"

namespace imdsgate {
namespace {

namespace fs = std::filesystem;
using yaml::Value;

constexpr char const *kShippedRule = "config/rules/unusual-imds-request.yaml";
constexpr std::uintmax_t kLargestFile = 4u << 20;

Place place_of(std::string_view text, std::size_t at) {
  auto const before = text.substr(0, at);
  auto const line_start = before.rfind('\n');
  auto const column = line_start == std::string_view::npos ? at : at - line_start - 1;
  return {static_cast<int>(std::ranges::count(before, '\n')) + 1, static_cast<int>(column) + 1};
}

// Design §4: published rules exclude by working directory, and a process goes where it likes.
void warn_of_working_directory(yaml::Reader &reader, Rule const &rule, std::string_view text,
                               std::string const &file) {
  auto const is_directory = [](std::string const &field) { return field.ends_with(".working_directory"); };
  auto const field = std::ranges::find_if(rule.query.fields, is_directory);
  if (field == rule.query.fields.end()) return;
  auto const at = text.find(*field);
  auto const place = at == std::string_view::npos ? Place{1, 1} : place_of(text, at);
  reader.add({file, place.line, place.column, true,
              "rule " + rule.id + " goes by " + *field +
                  ", which a process chooses itself: an exclusion by it can be had by anyone"});
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
  warn_of_working_directory(reader, *loaded.rule, *text, file);
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
    auto loaded = load_rule(*text, *file);
    for (auto &problem : loaded.problems) reader.add(std::move(problem));
    files.push_back(*file);
    if (!loaded.rule) continue;
    auto const same = [&](auto const &other) { return other->id == loaded.rule->id; };
    if (std::ranges::any_of(rules, same))
      reader.error(item, "a rule with the id " + loaded.rule->id + " is there");
    warn_of_working_directory(reader, *loaded.rule, *text, *file);
    rules.push_back(std::move(loaded.rule));
  }
}

}  // namespace imdsgate
