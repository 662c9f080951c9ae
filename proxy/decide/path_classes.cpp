#include "decide/path_classes.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "decide/ascii_case.hpp"
#include "decide/path_pattern.hpp"
#include "model/embedded.hpp"

namespace imdsgate {
namespace {

// In the enum's order, which is an index.
constexpr Provider kProviders[] = {Provider::ec2,        Provider::gce,    Provider::azure,    Provider::ecs,
                                   Provider::wireserver, Provider::oracle, Provider::openstack};

enum class Reach { no, whole, ancestor };  // ancestor: the path ends above what the pattern names

// Segment by segment, without case. What is beneath the pattern is `whole` unless `exact`.
Reach reach(std::string_view pattern, std::string_view path, bool exact) {
  if (pattern == "/") pattern = {};
  if (path == "/") path = {};
  while (!pattern.empty() && !path.empty()) {
    auto const wanted = take_segment(pattern);
    if (!segment_matches(wanted, take_segment(path), true)) return Reach::no;
  }
  if (!pattern.empty()) return Reach::ancestor;
  return exact && !path.empty() ? Reach::no : Reach::whole;
}

PathClass class_named(std::string const &name) {
  for (auto const each : {PathClass::general, PathClass::trust, PathClass::writable, PathClass::userdata,
                          PathClass::identity, PathClass::credentials}) {
    if (to_string(each) == name) return each;
  }
  throw std::runtime_error("unknown class " + name);
}

void require_known(YAML::Node const &map, std::initializer_list<std::string_view> known) {
  for (auto const &pair : map) {
    auto const key = pair.first.as<std::string>();
    if (std::ranges::find(known, key) == known.end()) throw std::runtime_error("unknown key " + key);
  }
}

// What stands in the place of the pattern's first `*`, when the path goes that far.
std::optional<std::string> version_in(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    auto const segment = take_segment(path);
    if (take_segment(pattern) == "*") return std::string(segment);
  }
  return std::nullopt;
}

std::vector<std::string> strings(YAML::Node const &list) {
  return list ? list.as<std::vector<std::string>>() : std::vector<std::string>{};
}
}  // namespace

struct CatalogueReader {
  PathCatalogue catalogue;

  void read(YAML::Node const &root) {
    require_known(root, {"endpoints", "hosts", "recursive_key", "version_key", "versions", "classes"});
    for (auto const &host : strings(root["hosts"])) catalogue.hosts_.push_back(folded(host));
    for (auto const &node : root["endpoints"]) {
      require_known(node, {"address", "port"});
      auto const address = Address::parse(node["address"].as<std::string>());
      catalogue.endpoints_.push_back({address.value(), node["port"].as<std::uint16_t>()});
    }
    if (auto const key = root["recursive_key"]) catalogue.recursive_key_ = key.as<std::string>();
    if (auto const key = root["version_key"]) catalogue.version_key_ = key.as<std::string>();
    catalogue.versions_ = strings(root["versions"]);
    for (auto const &node : root["classes"]) read_class(node);
  }

  void read_class(YAML::Node const &node) {
    require_known(node, {"class", "paths", "methods", "query", "exact", "in_recursive"});
    PathCatalogue::Entry entry;
    entry.path_class = class_named(node["class"].as<std::string>());
    entry.methods = strings(node["methods"]);
    for (auto const &pair : node["query"]) {
      entry.query.emplace_back(pair.first.as<std::string>(), pair.second.as<std::string>());
    }
    entry.exact = node["exact"] && node["exact"].as<bool>();
    entry.in_recursive = !node["in_recursive"] || node["in_recursive"].as<bool>();
    for (auto const &path : strings(node["paths"])) {
      entry.pattern = normalise_pattern(path).value();
      if (entry.pattern.find("**") != std::string::npos) throw std::runtime_error("** in " + path);
      catalogue.entries_.push_back(entry);
    }
  }
};

PathCatalogue PathCatalogue::parse(std::string const &text) {
  CatalogueReader reader;
  reader.read(YAML::Load(text));
  return std::move(reader.catalogue);
}

namespace {
std::shared_ptr<PathCatalogue const> load(Provider provider) {
  auto const name = "config/catalog/" + std::string(to_string(provider)) + ".yaml";
  auto const text = embedded(name);
  if (!text) throw std::runtime_error(name + " is not built in");
  try {
    return std::make_shared<PathCatalogue const>(PathCatalogue::parse(std::string(*text)));
  } catch (std::exception const &problem) {
    throw std::runtime_error(name + ": " + problem.what());
  }
}
}  // namespace

// The same for every policy of the process, so each is read once.
std::shared_ptr<PathCatalogue const> PathCatalogue::shipped(Provider provider) {
  static auto const all = [] {
    std::array<std::shared_ptr<PathCatalogue const>, std::size(kProviders)> loaded;
    for (auto const each : kProviders) loaded[static_cast<std::size_t>(each)] = load(each);
    return loaded;
  }();
  return all[static_cast<std::size_t>(provider)];
}

std::shared_ptr<PathCatalogue const> PathCatalogue::of_every_service() {
  auto const append = [](auto &to, auto const &from) { to.insert(to.end(), from.begin(), from.end()); };
  auto all = std::make_shared<PathCatalogue>();
  for (auto const provider : kProviders) {
    auto const one = shipped(provider);
    all->others_.push_back(one);
    append(all->hosts_, one->hosts_);
    append(all->endpoints_, one->endpoints_);
  }
  return all;
}

bool is_recursive_key(std::string_view key) {
  return std::ranges::any_of(kProviders, [&](Provider provider) {
    return PathCatalogue::shipped(provider)->recursive_key() == key;
  });
}

std::optional<Provider> provider_at(Address const &address) {
  for (auto const provider : {Provider::ecs, Provider::wireserver}) {
    auto const catalogue = PathCatalogue::shipped(provider);
    if (std::ranges::find(catalogue->endpoints(), address, &Endpoint::address) !=
        catalogue->endpoints().end()) {
      return provider;
    }
  }
  return std::nullopt;
}

// Methods too are compared without case: a service that takes `put` for PUT must not find a lower class here.
bool PathCatalogue::applies(Entry const &entry, std::string_view method, Reading const &reading) const {
  auto const is_method = [&](std::string const &each) { return equal_folded(each, method); };
  auto const is_asked = [&](auto const &wanted) {
    return std::ranges::any_of(reading.query, [&](auto const &parameter) {
      return is_word(parameter.first, wanted.first) && is_word(parameter.second, wanted.second);
    });
  };
  return (entry.methods.empty() || std::ranges::any_of(entry.methods, is_method)) &&
         std::ranges::all_of(entry.query, is_asked);
}

// Anything but a plain "false" counts: agents send `true`, `True`, and nobody outside knows what else is
// taken.
bool PathCatalogue::recursive(Reading const &reading) const {
  return recursive_key_ && std::ranges::any_of(reading.query, [&](auto const &parameter) {
           return is_word(parameter.first, *recursive_key_) && !equal_folded(parameter.second, "false");
         });
}

PathCatalogue::Outcome PathCatalogue::look_up(std::string_view method, Reading const &reading) const {
  Outcome outcome;
  outcome.subtree = recursive(reading);
  auto beneath = PathClass::general;
  for (auto const &entry : entries_) {
    if (!applies(entry, method, reading)) continue;
    auto const reached = reach(entry.pattern, reading.path, entry.exact);
    if (reached == Reach::whole && outcome.entry == nullptr) outcome.entry = &entry;
    if (outcome.subtree && reached == Reach::ancestor && entry.in_recursive) {
      beneath = std::max(beneath, entry.path_class);
    }
    if (!outcome.subtree && outcome.entry != nullptr) break;
  }
  outcome.path_class = std::max(beneath, outcome.entry ? outcome.entry->path_class : PathClass::general);
  return outcome;
}

PathCatalogue::Classified PathCatalogue::described(Outcome const &outcome, Reading const &reading) const {
  Classified said{outcome.path_class, outcome.entry != nullptr, std::nullopt, std::nullopt};
  if (outcome.subtree) said.recursive = recursive_key_;
  if (version_key_) {
    auto const is_key = [&](auto const &parameter) { return is_word(parameter.first, *version_key_); };
    auto const found = std::ranges::find_if(reading.query, is_key);
    if (found != reading.query.end()) said.version = found->second;
  } else if (outcome.entry != nullptr) {
    said.version = version_in(outcome.entry->pattern, reading.path);
  }
  auto const exists = [&](std::string const &pattern) {
    return segment_matches(pattern, *said.version, true);
  };
  if (said.version && !versions_.empty() && std::ranges::none_of(versions_, exists)) said.known = false;
  return said;
}

PathCatalogue::Classified PathCatalogue::classify(std::string_view method, Reading const &reading) const {
  auto said = described(look_up(method, reading), reading);
  for (auto const &other : others_) {
    auto further = other->classify(method, reading);
    bool const known = said.known || further.known;
    auto const path_class = std::max(said.path_class, further.path_class);
    auto recursive = said.recursive ? said.recursive : further.recursive;
    if (further.known && !said.known) said = std::move(further);
    said.known = known;
    said.recursive = std::move(recursive);
    said.path_class = path_class;
  }
  return said;
}

}  // namespace imdsgate
