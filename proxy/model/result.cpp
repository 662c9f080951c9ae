#include "model/result.hpp"

namespace imdsgate {

std::string Problem::to_string() const {
  std::string place = file;
  if (line > 0) place += ':' + std::to_string(line) + ':' + std::to_string(column);
  return place + ": " + (warning ? "warning: " : "") + text;
}

}  // namespace imdsgate
