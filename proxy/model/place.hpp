// A position in a text a person wrote.
#pragma once

#include <vector>

namespace imdsgate {

// 1-based; columns count bytes, as compilers do.
struct Place {
  int line = 1;
  int column = 1;
  bool operator==(Place const &) const = default;
};

// Where each byte of a text stands in its file; one entry more than the text has bytes, for its end.
using Places = std::vector<Place>;

}  // namespace imdsgate
