#include "decide/path_classes.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <stdexcept>

#include "decide/ascii_case.hpp"
#include "decide/path_pattern.hpp"
#include "model/embedded.hpp"

namespace imdsgate {
namespace {

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

std::vector<std::string> strings(YAML::Node const &list) {
  return list ? list.as<std::vector<std::string>>() : std::vector<std::string>{};
}
}  // namespace

struct CatalogueReader {
  PathCatalogue catalogue;

  void read(YAML::Node const &root) {
    require_known(root, {"endpoints", "hosts", "recursive_key", "classes"});
    for (auto const &host : strings(root["hosts"])) catalogue.hosts_.push_back(folded(host));
    for (auto const &node : root["endpoints"]) {
      require_known(node, {"address", "port"});
      auto const address = Address::parse(node["address"].as<std::string>());
      catalogue.endpoints_.push_back({address.value(), node["port"].as<std::uint16_t>()});
    }
    if (auto const key = root["recursive_key"]) catalogue.recursive_key_ = key.as<std::string>();
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
  static auto const ec2 = load(Provider::ec2);
  static auto const gce = load(Provider::gce);
  static auto const azure = load(Provider::azure);
  switch (provider) {
    case Provider::ec2: return ec2;
    case Provider::gce: return gce;
    case Provider::azure: return azure;
  }
  __builtin_unreachable();
}

std::shared_ptr<PathCatalogue const> PathCatalogue::every_cloud() {
  auto const append = [](auto &to, auto const &from) { to.insert(to.end(), from.begin(), from.end()); };
  auto all = std::make_shared<PathCatalogue>();
  for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure}) {
    auto const one = shipped(provider);
    append(all->entries_, one->entries_);
    append(all->hosts_, one->hosts_);
    append(all->endpoints_, one->endpoints_);
    if (one->recursive_key_) all->recursive_key_ = one->recursive_key_;
  }
  return all;
}

// Methods too are compared without case: a service that takes `put` for PUT must not find a lower class here.
bool PathCatalogue::applies(Entry const &entry, std::string_view method, Reading const &reading) const {
  auto const is_method = [&](std::string const &each) { return equal_folded(each, method); };
  auto const is_asked = [&](auto const &wanted) {
    return std::ranges::any_of(reading.query, [&](auto const &parameter) {
      return equal_folded(parameter.first, wanted.first) && equal_folded(parameter.second, wanted.second);
    });
  };
  return (entry.methods.empty() || std::ranges::any_of(entry.methods, is_method)) &&
         std::ranges::all_of(entry.query, is_asked);
}

// Anything but a plain "false" counts: agents send `true`, `True`, and nobody outside knows what else is
// taken.
bool PathCatalogue::recursive(Reading const &reading) const {
  return recursive_key_ && std::ranges::any_of(reading.query, [&](auto const &parameter) {
           return equal_folded(parameter.first, *recursive_key_) && !equal_folded(parameter.second, "false");
         });
}

PathClass PathCatalogue::classify(std::string_view method, Reading const &reading) const {
  bool const subtree = recursive(reading);
  auto highest = PathClass::general;
  std::optional<PathClass> own;
  for (auto const &entry : entries_) {
    if (!applies(entry, method, reading)) continue;
    auto const reached = reach(entry.pattern, reading.path, entry.exact);
    if (reached == Reach::whole && !own) own = entry.path_class;
    if (reached == Reach::ancestor && subtree && entry.in_recursive) {
      highest = std::max(highest, entry.path_class);
    }
  }
  return std::max(highest, own.value_or(PathClass::general));
}

}  // namespace imdsgate
