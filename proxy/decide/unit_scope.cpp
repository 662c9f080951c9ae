#include "decide/unit_scope.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

enum class Which { outermost, innermost };

std::string scope(Process const &process, Which which) {
  std::string const &path = process.cgroup;
  if (path.empty()) return "process:" + process.entity_id;
  if (path == "/") return "user:" + std::to_string(process.effective_uid);
  std::size_t end = 0;  // of the last element that is one
  for (std::size_t from = 1; from < path.size();) {
    auto const to = std::min(path.find('/', from), path.size());
    std::string_view const element(path.data() + from, to - from);
    bool const container = process.container_id && element.find(*process.container_id) != element.npos;
    if (container || element.ends_with(".service") || element.ends_with(".scope")) end = to;
    if (end != 0 && which == Which::outermost) break;
    from = to + 1;
  }
  return end == 0 ? path : path.substr(0, end);
}
}  // namespace

std::string unit_scope(Process const &process) {
  return scope(process, Which::innermost);
}

std::string session_scope(Process const &process) {
  return scope(process, Which::outermost);
}

}  // namespace imdsgate
