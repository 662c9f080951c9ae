#include "intercept/firewall_family.hpp"

#include <algorithm>

#include "intercept/nft_table.hpp"

namespace imdsgate {
namespace {

constexpr int kAttempts = 3;
constexpr std::string_view kBaseChains[] = {"OUTPUT", "PREROUTING", "FORWARD"};  // those the rules are reached from

std::vector<OwnTable> own_parts(SavedRules const &saved) {
  std::vector<OwnTable> parts;
  for (auto const table : kOwnTables) parts.push_back(own_part(saved.table(table), table));
  return parts;
}

// The whole input for one family. Where the redirect goes and a fence is to stand, the fence comes first, so
// that no moment has neither.
std::string restore_input(SavedRules const &saved, std::vector<OwnTable> wanted) {
  std::ranges::stable_sort(wanted, std::ranges::greater{}, [](OwnTable const &table) {
    return !table.empty() && table.table != "nat" ? 1 : 0;
  });
  bool const redirected = std::ranges::any_of(
      wanted, [](OwnTable const &table) { return table.table == "nat" && !table.empty(); });
  if (redirected) std::ranges::reverse(wanted);
  std::string text;
  for (auto const &table : wanted) text += transition(saved.table(table.table), table);
  return text;
}

}  // namespace

Result<SavedRules> FirewallFamily::save() const {
  return in_use_ ? xtables_.save(kOwnTables) : xtables_.save();
}

Result<std::vector<OwnTable>> FirewallFamily::present() const {
  auto const saved = save();
  if (!saved) return saved.error();
  return own_parts(*saved);
}

// Notes in the wanted part what the first rule will make besides our chains, or what an earlier one made.
Result<void> FirewallFamily::remember_made(std::vector<OwnTable> &wanted, SavedRules const &saved) {
  for (auto &table : wanted) {
    OwnTable const present = own_part(saved.table(table.table), table.table);
    auto &made = made_[table.table];
    made.table = made.table || present.has_chain(kMadeTable);
    for (auto const chain : kBaseChains) {
      if (present.has_chain(made_chain_mark(chain))) made.chains.emplace(chain);
    }
    if (table.empty()) continue;
    if (xtables_.backend() == FirewallBackend::nft) {
      auto const there = read_nft_table(table.table, xtables_.ipv6());
      if (!there) return there.error();
      made.table = made.table || !there->exists;
      for (auto const &reference : table.references) {
        if (there->chain(reference.chain) == nullptr) made.chains.insert(reference.chain);
      }
    }
    auto const mark = [&table](std::string chain) {
      if (!table.has_chain(chain)) table.chains.push_back(std::move(chain));
    };
    if (made.table) mark(std::string(kMadeTable));
    for (auto const &chain : made.chains) mark(made_chain_mark(chain));
  }
  return {};
}

Result<void> FirewallFamily::tidy(std::vector<OwnTable> const &wanted) {
  if (xtables_.backend() != FirewallBackend::nft) return {};
  for (auto const &table : wanted) {
    auto &made = made_[table.table];
    if (!table.empty() || (!made.table && made.chains.empty())) continue;
    auto tidied = tidy_nft_table(table.table, xtables_.ipv6(), made.table, made.chains);
    if (!tidied) return tidied;
    made = {};
  }
  return {};
}

// Others change the tables too, so a failure counts only when nothing changed between looking and writing.
Result<void> FirewallFamily::attempt(std::vector<OwnTable> const &wanted) {
  std::string failed;
  Result<void> restored = boost::system::in_place_value;
  for (int i = 0; i < kAttempts; ++i) {
    auto const saved = save();
    if (!saved) return saved.error();
    if (!std::exchange(remembered_, true)) before_ = own_parts(*saved);
    auto marked = wanted;
    if (auto remembered = remember_made(marked, *saved); !remembered) return remembered;
    std::string const input = restore_input(*saved, marked);
    if (input.empty()) return {};
    if (!failed.empty() && input == failed) return restored;
    restored = xtables_.restore(input);
    if (restored) return {};
    failed = input;
  }
  return restored;
}

Result<void> FirewallFamily::become(std::vector<OwnTable> wanted) {
  auto done = attempt(wanted);
  std::vector<std::string> wrong;
  if (done) {
    auto const now = present();
    if (!now) {
      done = now.error();
    } else {
      for (std::size_t i = 0; i < now->size(); ++i) {
        auto const asked = std::ranges::find(wanted, (*now)[i].table, &OwnTable::table);
        if (asked != wanted.end())
          std::ranges::copy(differences((*now)[i], *asked), std::back_inserter(wrong));
      }
    }
  }
  if (done && !wrong.empty())
    done = Error{Errc::system, name() + ": the kernel holds something else: " + wrong[0]};
  if (done) return tidy(wanted);
  if (auto back = put_back(); !back) {
    return Error{done.error().code,
                 done.error().detail + "; and putting it back failed: " + back.error().detail};
  }
  return done;
}

Result<void> FirewallFamily::put_back() {
  if (!remembered_) return {};
  auto const saved = save();
  if (!saved) return saved.error();
  auto const now = own_parts(*saved);
  bool const same = std::ranges::equal(now, before_, [](OwnTable const &left, OwnTable const &right) {
    return differences(left, right).empty();
  });
  if (!same) {
    if (auto restored = xtables_.restore(restore_input(*saved, before_)); !restored) return restored;
  }
  return tidy(before_);
}

}  // namespace imdsgate
