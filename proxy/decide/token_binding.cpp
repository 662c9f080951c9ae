#include "decide/token_binding.hpp"

#include <algorithm>

#include "decide/event_of.hpp"
#include "decide/unit_scope.hpp"

namespace imdsgate {
namespace {

std::string scope_of(TokenScope scope, Process const &process) {
  switch (scope) {
    case TokenScope::unit: return unit_scope(process);
    case TokenScope::session: return session_scope(process);
    case TokenScope::process: return process.entity_id;
  }
  __builtin_unreachable();
}

// What a share group may call it by.
std::vector<std::string> proven_names(Lineage const &who) {
  auto const event = event_of(who, {}, Presented::exec);
  std::vector<std::string> names;
  for (auto const *field : {"process.executable", "imdsgate.unit"}) {
    auto const *values = event.find(field);
    if (values != nullptr) names.insert(names.end(), values->proven.begin(), values->proven.end());
  }
  return names;
}

bool shares(TokenBinding const &binding, Lineage const &user, Lineage const &minter) {
  if (binding.share.empty()) return false;
  auto const users = proven_names(user), minters = proven_names(minter);
  return std::ranges::any_of(binding.share, [&](std::vector<std::string> const &group) {
    auto const listed = [&](std::string const &each) {
      return std::ranges::find(group, each) != group.end();
    };
    return std::ranges::any_of(users, listed) && std::ranges::any_of(minters, listed);
  });
}

TokenUse use_by(TokenBinding const &binding, Lineage const &user, std::vector<LineagePtr> const &minters) {
  auto const scope = scope_of(binding.scope, user.process);
  for (auto const &minter : minters) {
    // The process it was given to keeps it wherever it was moved, or when its cgroup cannot be read any more.
    bool const itself = !user.process.entity_id.empty() && minter->process.entity_id == user.process.entity_id;
    if (itself || scope_of(binding.scope, minter->process) == scope) return {TokenUse::Kind::own, nullptr};
  }
  for (auto const &minter : minters) {
    if (shares(binding, user, *minter)) return {TokenUse::Kind::shared, minter};
  }
  return {TokenUse::Kind::foreign, minters.front()};
}

// foreign is worse than unknown is worse than shared is worse than own
int badness(TokenUse::Kind kind) {
  switch (kind) {
    case TokenUse::Kind::own: return 0;
    case TokenUse::Kind::shared: return 1;
    case TokenUse::Kind::unknown: return 2;
    case TokenUse::Kind::foreign: return 3;
  }
  __builtin_unreachable();
}
}  // namespace

std::optional<TokenAnswer> judge_tokens(TokenBinding const &binding, AccessRequest const &access) {
  if (!binding.verdict || access.tokens.empty()) return std::nullopt;
  if (access.attribution == nullptr || access.unattributed || access.attribution->holders.empty())
    return std::nullopt;
  std::optional<TokenAnswer> worst;
  auto const consider = [&](TokenUse use, std::size_t holder) {
    if (!worst || badness(use.kind) > badness(worst->use.kind)) worst = TokenAnswer{std::move(use), holder};
  };
  for (auto const &minters : access.tokens) {
    if (!minters || minters->empty()) {
      consider({}, 0);
      continue;
    }
    auto const &holders = access.attribution->holders;
    for (std::size_t i = 0; i < holders.size(); ++i) consider(use_by(binding, *holders[i], *minters), i);
  }
  return worst;
}

}  // namespace imdsgate
