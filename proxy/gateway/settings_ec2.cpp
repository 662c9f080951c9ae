#include <algorithm>

#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;

constexpr std::string_view kLater = " is not available in this version";

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
    if (auto executable = read_executable(reader, item)) except.push_back(*std::move(executable));
  }
  map.finish();
}
}  // namespace

void SettingsReader::read_ec2(Map &root) {
  auto const value = root.find("ec2");
  if (!value) return;
  Map map(reader, *value);
  if (auto const imdsv1 = map.find("imdsv1")) read_imdsv1(*this, *imdsv1);
  if (auto const binding = map.find("token_binding")) {
    auto const off = reader.choice<bool>(*binding, {{"off", true}, {"alert", false}, {"block", false}});
    if (off && !*off) reader.error(*binding, binding->node.Scalar() + std::string(kLater));
  }
  if (auto const scope = map.find("scope")) reader.error(*scope, "token binding" + std::string(kLater));
  map.finish();
}

}  // namespace imdsgate
