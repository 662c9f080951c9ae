#include <algorithm>

#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Value;

constexpr std::size_t kLongestInterfaceName = 15;  // IFNAMSIZ, with its NUL

// As the firewall can write it: `+` is a wildcard there, and nothing can be quoted.
bool is_bridge_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= kLongestInterfaceName &&
         name.find_first_not_of(kLetters) == name.npos;
}

}  // namespace

// `containers: {bridges: [docker0], hop_limit: 1, runtime: /run/docker.sock}`. Whether they are bridges is looked at when
// the daemon starts.
void SettingsReader::read_containers(Map &root) {
  auto const value = root.find("containers");
  if (!value) return;
  auto &bridges = configuration.settings.bridges;
  Map map(reader, *value);
  auto const runtime = map.find("runtime");
  if (runtime) configuration.settings.container_runtime = socket_path(*runtime);
  if (runtime) choose(map, "runtime_api", kContainerApis, configuration.settings.container_api);
  bool const bridged = !runtime || map.find("hop_limit");
  auto const list = bridged ? map.require("bridges") : map.find("bridges");
  auto const items = list ? reader.list(*list) : std::nullopt;
  if (items && items->empty()) reader.error(*list, "is empty; leave `containers` out to intercept none");
  for (auto const &item : items.value_or(std::vector<Value>{})) {
    auto const name = reader.text(item);
    if (!name) continue;
    if (!is_bridge_name(*name)) {
      reader.error(item, "expected an interface's name, found " + *name);
    } else if (std::ranges::find(bridges, *name) != bridges.end()) {
      reader.error(item, *name + " is given twice");
    } else {
      bridges.push_back(*name);
    }
  }
  if (auto const limit = map.find("hop_limit")) {
    // EC2's own range (HttpPutResponseHopLimit).
    if (auto const number = reader.unsigned_integer(*limit, 1, 64)) {
      configuration.choices.hop_limit = static_cast<unsigned>(*number);
    }
  }
  map.finish();
}

}  // namespace imdsgate
