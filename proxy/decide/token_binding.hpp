// Is a session token used by those it was given to (design §6)? Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/decision.hpp"

namespace imdsgate {

enum class TokenScope { unit, session, process };  // decide/unit_scope.hpp; process: by entity id

struct TokenBinding {
  std::optional<Verdict> verdict;  // what a foreign token gets; nullopt: off
  TokenScope scope = TokenScope::unit;
  // Who may use each other's tokens: units by name, executables by path, both only when proven.
  std::vector<std::vector<std::string>> share;
};

struct TokenAnswer {
  TokenUse use;
  std::size_t holder = 0;  // of the request, whom a foreign token is foreign to
};

// Nothing when no token came, nobody can be named, or binding is off. Of several tokens, the worst; a token
// that any holder may not use is foreign.
std::optional<TokenAnswer> judge_tokens(TokenBinding const &binding, AccessRequest const &access);

}  // namespace imdsgate
