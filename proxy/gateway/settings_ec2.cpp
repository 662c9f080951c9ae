#include <algorithm>

#include "decide/grant_scope.hpp"
#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

// Absolute and without what a path of /proc/PID/exe never has, or it would match nothing.
std::optional<std::string> read_executable(Reader &reader, Value const &value) {
  auto text = reader.text(value);
  if (!text) return std::nullopt;
  auto const normal = std::filesystem::path(*text).lexically_normal().string();
  if (!text->starts_with('/') || text->ends_with('/') || normal != *text) {
    reader.error(value, "expected the absolute path of an executable, found " + *text);
    return std::nullopt;
  }
  return text;
}

// `imdsv1: alert`, or a map: {default: alert, block_from: 2027-01-01T00:00:00Z, except: ["/usr/bin/s3fs"]}
void read_imdsv1(SettingsReader &self, Value const &value) {
  auto &[reader, configuration, base] = self;
  auto &choices = configuration.choices;
  if (!value.node.IsMap()) {
    if (auto const chosen = reader.choice(value, kVerdicts)) choices.imdsv1 = *chosen;
    return;
  }
  Map map(reader, value);
  self.choose(map, "default", kVerdicts, choices.imdsv1);
  auto &[block_from, except] = choices.imdsv1_exceptions;
  if (auto const date = map.find("block_from")) {
    block_from = reader.timestamp(*date);
    if (choices.imdsv1 == Verdict::block) reader.warning(*date, "changes nothing: the default is block");
  }
  auto const list = map.find("except");
  auto const items = list ? reader.list(*list) : std::nullopt;
  for (auto const &item : items.value_or(std::vector<Value>{})) {
    auto executable = read_executable(reader, item);
    if (!executable) continue;
    if (auto const every_script = every_script_of(*executable)) {
      reader.warning(item, *every_script + " is excepted; an allow entry with imdsv1: allow and a unit is for "
                                           "one service");
    }
    except.push_back(*std::move(executable));
  }
  map.finish();
}
bool is_unit(std::string_view name) {
  return name.find('/') == name.npos && (name.ends_with(".service") || name.ends_with(".scope"));
}

// A list of groups, each of units and executables that may use each other's tokens.
void read_share(Reader &reader, Value const &value, TokenBinding &binding) {
  for (auto const &group : reader.list(value).value_or(std::vector<Value>{})) {
    auto const members = reader.list(group);
    if (!members) continue;
    if (members->size() < 2) reader.error(group, "needs two members at least: nobody to share with");
    binding.share.emplace_back();
    for (auto const &member : *members) {
      auto const text = reader.text(member);
      if (!text) continue;
      if (!text->starts_with('/') && !is_unit(*text)) {
        reader.error(member, "expected a unit (name.service, name.scope) or the absolute path of an executable, found " + *text);
      } else if (text->starts_with('/') ? read_executable(reader, member).has_value() : true) {
        binding.share.back().push_back(*text);
      }
    }
  }
}

void read_token_binding(SettingsReader &self, Map &map) {
  auto &binding = self.configuration.choices.token_binding;
  self.choose(map, "token_binding", kTokenBindings, binding.verdict);
  self.choose(map, "scope", kTokenScopes, binding.scope);
  auto const share = map.find("share");
  if (share) read_share(self.reader, *share, binding);
  if (binding.verdict) return;
  for (auto const &unused : {map.find("scope"), share}) {
    if (unused) self.reader.warning(*unused, "has no effect: ec2.token_binding is off");
  }
}
}  // namespace

void SettingsReader::read_ec2(Map &root) {
  auto const value = root.find("ec2");
  if (!value) return;
  Map map(reader, *value);
  if (auto const imdsv1 = map.find("imdsv1")) read_imdsv1(*this, *imdsv1);
  read_token_binding(*this, map);
  map.finish();
}

}  // namespace imdsgate
