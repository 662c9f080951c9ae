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
  // All of them in one, for a host whose cloud is not known: their paths do not overlap. Throws as above.
  static std::shared_ptr<PathCatalogue const> every_cloud();
  static PathCatalogue parse(std::string const &text);  // throws as above

  // The class of one reading, matched without case and with everything beneath a classed path.
  PathClass classify(std::string_view method, Reading const &reading) const;

  // Names the service answers to, lower case, no trailing dot.
  std::vector<std::string> const &hosts() const { return hosts_; }
  // What is redirected and guarded when the configuration names nothing else.
  std::vector<Endpoint> const &endpoints() const { return endpoints_; }

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

  bool applies(Entry const &entry, std::string_view method, Reading const &reading) const;
  bool recursive(Reading const &reading) const;

  std::vector<Entry> entries_;  // first match decides
  std::vector<std::string> hosts_;
  std::vector<Endpoint> endpoints_;
  std::optional<std::string> recursive_key_;  // the parameter that asks for a whole subtree
};

}  // namespace imdsgate
