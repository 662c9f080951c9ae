#include "attribute/attributor.hpp"

#include <algorithm>
#include <tuple>

namespace imdsgate {
namespace {

// What tells one suspect from another: who it is, what it runs and with whose rights.
auto key(LineagePtr const &lineage) {
  auto const &process = lineage->process;
  return std::tuple(process.id, static_cast<UserIds const &>(process));
}

}  // namespace

bool same_holders(Attribution const &before, Attribution const &now) {
  if (before.holders.empty() || before.socket_inode != now.socket_inode ||
      before.socket_cookie != now.socket_cookie || before.socket_uid != now.socket_uid) {
    return false;
  }
  // Those who merely inherited the descriptor by fork are the same suspect and may come and go.
  return std::is_permutation(before.holders.begin(), before.holders.end(), now.holders.begin(),
                             now.holders.end(),
                             [](auto const &a, auto const &b) { return key(a) == key(b); });
}

}  // namespace imdsgate
