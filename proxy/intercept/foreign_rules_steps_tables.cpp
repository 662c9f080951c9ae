// iptables-save's rules as ChainSteps. Source: iptables-extensions(8).
#include <algorithm>
#include <charconv>
#include <set>

#include "intercept/foreign_rules.hpp"
#include "intercept/owner_chains.hpp"

namespace imdsgate {
namespace {

using Then = ChainStep::Then;

std::optional<std::uint32_t> decimal(std::string_view text) {
  std::uint32_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "48", "1000-2000"; ports are written "80:90".
std::optional<IdRange> range_of(std::string_view text, char dash) {
  auto const at = text.find(dash);
  auto const first = decimal(text.substr(0, at));
  auto const last = at == text.npos ? first : decimal(text.substr(at + 1));
  if (!first || !last) return std::nullopt;
  return IdRange{*first, *last};
}

std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto const comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return parts;
}

class StepReader {
 public:
  StepReader(SavedRule const &rule, SavedTable const &table, Endpoint const &endpoint)
      : words_(rule.words), table_(table), endpoint_(endpoint) {}

  ChainStep read() {
    while (at_ < words_.size()) {
      bool const negated = words_[at_] == "!";
      if (negated && ++at_ == words_.size()) break;
      option(words_[at_++], negated);
    }
    step_.applies = tests_.applies(step_.then);
    return std::move(step_);
  }

 private:
  std::string next() { return at_ < words_.size() ? words_[at_++] : std::string(); }
  void matches(bool holds) { tests_.never = tests_.never || !holds; }

  void option(std::string const &name, bool negated) {
    static std::set<std::string, std::less<>> const kMatches = {"tcp",       "udp",   "owner",   "multiport",
                                                                "conntrack", "state", "comment", "iprange"};
    if (name == "-m") return void(tests_.unclear = !kMatches.contains(next()) || tests_.unclear);
    if (name == "-d" || name == "--dst-range" || name == "--ctorigdst") return destination(next(), negated);
    if (name == "-p") return protocol(next(), negated);
    if (name == "--dport" || name == "--dports") return ports(next(), negated);
    if (name == "--uid-owner" || name == "--gid-owner") return owner(next(), name == "--gid-owner", negated);
    if (name == "--ctstate" || name == "--state") return state(next(), negated);
    if (name == "-o") return interface(next(), negated);
    if (name == "-j" || name == "-g") return target(next(), name == "-g");
    if (name == "--comment" || name == "--reject-with") return void(next());
    if (step_.then == Then::next && targeted_)
      return;  // what a target that only writes something down is told
    tests_.unclear = true;
  }

  void destination(std::string const &text, bool negated) {
    auto const block = AddressBlock::parse(text);
    if (!block) return void(tests_.unclear = true);
    matches(block->covers(endpoint_.address) != negated);
  }

  void protocol(std::string const &name, bool negated) {
    bool const tcp = name == "tcp" || name == "6" || name == "all" || name == "0";
    matches(tcp != negated);
  }

  void ports(std::string const &text, bool negated) {
    bool among = false;
    for (auto const part : parts_of(text)) {
      auto const range = range_of(part, ':');
      if (!range) return void(tests_.unclear = true);
      among = among || contains({*range}, endpoint_.port);
    }
    matches(among != negated);
  }

  void owner(std::string const &ids, bool of_group, bool negated) {
    auto const range = range_of(ids, '-');
    if (!range) return void(tests_.unclear = true);
    step_.owners.push_back({of_group, {*range}, negated});
  }

  // The first packet of a connection is NEW.
  void state(std::string const &states, bool negated) {
    static std::set<std::string_view> const kKnown = {"NEW", "ESTABLISHED", "RELATED", "INVALID",
                                                      "UNTRACKED"};
    bool among = false;
    for (auto const part : parts_of(states)) {
      if (!kKnown.contains(part)) return void(tests_.unclear = true);
      among = among || part == "NEW";
      tests_.established = tests_.established || part == "ESTABLISHED";
    }
    tests_.established = tests_.established != negated;
    tests_.not_new = among == negated;
  }

  // A metadata service is not on loopback.
  void interface(std::string const &name, bool negated) {
    if (name != "lo") return void(tests_.unclear = true);
    matches(negated);
  }

  void target(std::string const &name, bool go_to) {
    static std::set<std::string, std::less<>> const kOnlyWrite = {
        "LOG",     "NFLOG",       "AUDIT",  "TRACE", "CT",  "MARK",    "CONNMARK",
        "SECMARK", "CONNSECMARK", "TCPMSS", "DSCP",  "TOS", "CLASSIFY"};
    step_.target = name;
    targeted_ = true;
    if (name == "ACCEPT") {
      step_.then = Then::accept;
    } else if (name == "DROP" || name == "REJECT") {
      step_.then = Then::refuse;
    } else if (name == "RETURN") {
      step_.then = Then::leave;
    } else if (table_.has_chain(name)) {
      step_.then = go_to ? Then::go_to : Then::call;
    } else if (!kOnlyWrite.contains(name)) {
      step_.then = Then::unclear;
    }
  }

  std::vector<std::string> const &words_;
  SavedTable const &table_;
  Endpoint const endpoint_;
  std::size_t at_ = 0;
  bool targeted_ = false;
  StepTests tests_;
  ChainStep step_;
};

}  // namespace

ChainStep step_of(SavedRule const &rule, SavedTable const &table, Endpoint const &endpoint) {
  return StepReader(rule, table, endpoint).read();
}

}  // namespace imdsgate
