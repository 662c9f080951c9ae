// What each cloud's paths are (facts §5), as data: config/catalog/<provider>.yaml, carried by the binary.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/readings.hpp"
#include "model/address.hpp"
#include "model/request.hpp"

namespace imdsgate {

// Immutable once loaded; shared by the policies of one configuration.
class PathCatalogue {
 public:
  // The catalogue the binary carries for `provider`. Throws std::runtime_error when that file is not as it
  // should be: a fault of the build, found at start-up and by a unit test.
  static std::shared_ptr<PathCatalogue const> shipped(Provider provider);
  // All of them in one, for a service of which it is not known whose it is: the highest class that any of
  // them says. Throws as above.
  static std::shared_ptr<PathCatalogue const> of_every_service();
  static PathCatalogue parse(std::string const &text);  // throws as above

  struct Classified {
    PathClass path_class = PathClass::general;
    bool known = false;                    // an entry is about it, below a version that exists
    std::optional<std::string> version;    // the API's, where the path or the query says one
    std::optional<std::string> recursive;  // the parameter that makes it a read of the whole subtree
  };
  // One reading, matched without case and with everything beneath a classed path.
  Classified classify(std::string_view method, Reading const &reading) const;

  // Names the service answers to, lower case, no trailing dot.
  std::vector<std::string> const &hosts() const { return hosts_; }
  // What is redirected and guarded when the configuration names nothing else.
  std::vector<Endpoint> const &endpoints() const { return endpoints_; }
  // The parameter that asks for a whole subtree, where there is one.
  std::optional<std::string> const &recursive_key() const { return recursive_key_; }

 private:
  struct Entry {
    std::string pattern;  // literal segments and `*`
    PathClass path_class = PathClass::general;
    std::vector<std::string> methods;  // empty: every method
    QueryParameters query;             // each must be there
    bool exact = false;                // not what is beneath
    bool in_recursive = true;          // a recursive read of an ancestor returns it
  };
  friend struct CatalogueReader;

  struct Outcome {
    PathClass path_class = PathClass::general;  // with what a recursive read returns
    Entry const *entry = nullptr;               // that decided
    bool subtree = false;                       // a recursive read
  };
  Outcome look_up(std::string_view method, Reading const &reading) const;
  Classified described(Outcome const &outcome, Reading const &reading) const;
  bool applies(Entry const &entry, std::string_view method, Reading const &reading) const;
  bool recursive(Reading const &reading) const;

  std::vector<Entry> entries_;  // first match decides
  std::vector<std::string> hosts_;
  std::vector<Endpoint> endpoints_;
  std::optional<std::string> recursive_key_;
  std::optional<std::string> version_key_;  // the parameter that names the version, not the path's first `*`
  std::vector<std::string> versions_;       // patterns; empty: any
  std::vector<std::shared_ptr<PathCatalogue const>> others_;  // asked as well
};

// Is it the parameter that asks some service for all that is beneath a path?
bool is_recursive_key(std::string_view key);

// Whose service an address is, where that is the same on every host: those of ecs.yaml and wireserver.yaml.
std::optional<Provider> provider_at(Address const &address);

}  // namespace imdsgate
