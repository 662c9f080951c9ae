// What a test looks at of an image.
#pragma once

#include <string>

#include "attribute/exec_record.hpp"

namespace imdsgate::test {

inline std::string exe(ImagePtr const &image) {
  return image && image->executable ? image->executable->path : "unknown";
}

}  // namespace imdsgate::test
