#include "rules/rule.hpp"

namespace imdsgate {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::low: return "low";
    case Severity::medium: return "medium";
    case Severity::high: return "high";
    case Severity::critical: return "critical";
  }
  __builtin_unreachable();
}

int event_severity(Severity severity) {
  switch (severity) {
    case Severity::low: return 21;
    case Severity::medium: return 47;
    case Severity::high: return 73;
    case Severity::critical: return 99;
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
