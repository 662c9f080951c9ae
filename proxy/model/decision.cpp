#include "model/decision.hpp"

namespace imdsgate {

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::audit: return "audit";
    case Mode::enforce: return "enforce";
  }
  __builtin_unreachable();
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::allow: return "allow";
    case Verdict::alert: return "alert";
    case Verdict::block: return "block";
  }
  __builtin_unreachable();
}

std::string_view to_string(Action action) {
  switch (action) {
    case Action::forward: return "forward";
    case Action::block: return "block";
  }
  __builtin_unreachable();
}

std::string_view to_string(TokenUse::Kind kind) {
  switch (kind) {
    case TokenUse::Kind::own: return "own";
    case TokenUse::Kind::shared: return "shared";
    case TokenUse::Kind::foreign: return "foreign";
    case TokenUse::Kind::unknown: return "unknown";
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
