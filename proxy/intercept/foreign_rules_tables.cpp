// iptables-save's rules as RuleFacts.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "intercept/foreign_rules.hpp"
#include "intercept/owner_chains.hpp"

namespace imdsgate {
namespace {

std::optional<std::uint32_t> number(std::string_view text) {
  int const base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint32_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "80", "80:90", "80,443,8000:8010"; nullopt when one of them is not a number (a service's name).
std::optional<std::vector<PortRange>> port_ranges(std::string_view text) {
  std::vector<PortRange> ranges;
  while (!text.empty()) {
    auto const comma = text.find(',');
    auto const part = text.substr(0, comma);
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    auto const colon = part.find(':');
    auto const first = number(part.substr(0, colon));
    auto const last = colon == part.npos ? first : number(part.substr(colon + 1));
    if (!first || !last || *last > 0xffff) return std::nullopt;
    ranges.push_back({static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)});
  }
  return ranges;
}

// The address of "--to-destination 1.2.3.4:80", "[fd00::1]:80" or "1.2.3.4-1.2.3.9:80".
std::optional<AddressBlock> nat_target(std::string_view text) {
  if (text.starts_with('[')) return AddressBlock::parse(text.substr(1, text.find(']') - 1));
  if (std::ranges::count(text, ':') == 1) text = text.substr(0, text.find(':'));
  return AddressBlock::parse(text);
}

// Reads one rule's words from left to right.
class Reader {
 public:
  explicit Reader(std::vector<std::string> const &words) : words_(words) {}

  RuleFacts read() {
    while (at_ < words_.size()) {
      bool const negated = words_[at_] == "!";
      if (negated && ++at_ == words_.size()) break;
      option(words_[at_++], negated);
    }
    if (facts_.restores_mark) *facts_.restores_mark = restore_mask_;
    return std::move(facts_);
  }

 private:
  std::string next() { return at_ < words_.size() ? words_[at_++] : std::string(); }

  void destination(std::string const &text, bool negated) {
    if (auto block = AddressBlock::parse(text)) {
      facts_.destinations.push_back({*block, negated});
    } else {
      facts_.unreadable.push_back("address " + text);
    }
  }

  void target(std::string const &name) {
    if (name == "REJECT" || name == "DROP") facts_.drops = true;
    if (name == "NOTRACK") facts_.untracks = true;
  }

  void match(std::string const &name) {
    if (name == "bpf" || name == "u32") facts_.unreadable.push_back(name);
  }

  void set_match(bool negated) {
    std::string const set = next(), sides = next();
    if (sides.find("dst") != sides.npos) {
      facts_.unreadable.push_back(std::string("ipset ") + (negated ? "! " : "") + set);
    }
  }

  void option(std::string const &name, bool negated) {
    if (name == "-d" || name == "--dst-range" || name == "--ctorigdst") return destination(next(), negated);
    if (name == "-p") return protocol(next(), negated);
    if (name == "-j" || name == "-g") return target(next());
    if (name == "-m") return match(next());
    if (name == "--match-set") return set_match(negated);
    if (name == "--dport" || name == "--dports" || name == "--ports") return ports(next(), negated, name);
    if (name == "--sport" || name == "--sports") facts_.source_port = !negated;
    if (name == "-o" || name == "--physdev-out") facts_.out_interface = true;
    if (name == "--uid-owner" || name == "--gid-owner") facts_.owner = true;
    if (name == "--notrack") facts_.untracks = true;
    if (name == "--restore-mark") facts_.restores_mark = 0;
    if (name == "--nfmask" || name == "--mask") restore_mask_ = number(next()).value_or(0xffffffff);
    if (name == "--to-destination" || name == "--to" || name == "--on-ip" || name == "--gateway") {
      if (auto block = nat_target(next())) facts_.nat_targets.push_back(*block);
    }
    if (name == "[unsupported") facts_.unreadable.emplace_back("a match of a newer iptables");
  }

  void protocol(std::string const &name, bool negated) {
    bool const tcp = name == "tcp" || name == "6" || name == "all" || name == "0";
    facts_.excludes_tcp = negated ? name == "tcp" || name == "6" : !tcp;
  }

  void ports(std::string const &text, bool negated, std::string const &option) {
    // --ports matches either end: it says nothing of the destination alone.
    if (!negated && option != "--ports") facts_.ports = port_ranges(text);
  }

  std::vector<std::string> const &words_;
  std::size_t at_ = 0;
  std::uint32_t restore_mask_ = 0xffffffff;
  RuleFacts facts_;
};

// The chains that see what this host sends: OUTPUT and what it leads to.
std::set<std::string_view> output_chains(SavedTable const &table) {
  std::set<std::string_view> reached{"OUTPUT"};
  for (std::size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (auto const &rule : table.rules) {
      if (reached.contains(rule.chain) && table.has_chain(rule.target())) reached.insert(rule.target());
    }
  }
  return reached;
}

// A match on the packet's mark that the daemon's own mark fails: the rule does not see its traffic.
bool spares_mark(std::vector<std::string> const &words, Exemption const &exemption) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] != "--mark") continue;
    std::string_view const text = words[i + 1];
    auto const slash = text.find('/');
    auto const value = number(text.substr(0, slash));
    auto const mask = slash == text.npos ? 0xffffffffU : number(text.substr(slash + 1));
    if (!value || !mask) return false;
    // Bits outside the exemption's mask are anyone's guess.
    std::uint32_t const known = *mask & exemption.mask;
    bool const fails = ((exemption.mark ^ *value) & known) != 0;
    bool const negated = i > 0 && words[i - 1] == "!";
    return negated ? known == *mask && !fails : fails;
  }
  return false;
}

// `-d 169.254.170.2/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 51679`, or DNAT to 127.0.0.1: the
// credentials endpoint of the ECS agent on a container instance. Source: AWS, "Installing the Amazon ECS
// container agent".
bool leads_to_ecs_agent(SavedTable const &table, SavedRule const &rule) {
  static std::set<std::pair<std::string, std::string>> const kSays = {
      {"-d", "169.254.170.2/32"}, {"-p", "tcp"},     {"-m", "tcp"},
      {"--dport", "80"},          {"-m", "comment"}, {"-j", "REDIRECT"},
      {"--to-ports", "51679"},    {"-j", "DNAT"},    {"--to-destination", "127.0.0.1:51679"}};
  if (table.name != "nat" || (rule.chain != "OUTPUT" && rule.chain != "PREROUTING")) return false;
  bool address = false, port = false, agent = false;
  for (std::size_t i = 0; i + 1 < rule.words.size(); i += 2) {
    auto const &option = rule.words[i];
    if (option != "--comment" && !kSays.contains({option, rule.words[i + 1]})) return false;
    address = address || option == "-d";
    port = port || option == "--dport";
    agent = agent || option.starts_with("--to-");
  }
  return rule.words.size() % 2 == 0 && address && port && agent;
}

OutputTable output_table(SavedTable const &table, std::string const &source) {
  OutputTable output{source + ' ' + table.name, {}, {}, {}};
  for (auto const &chain : table.chains) {
    if (chain.name == "OUTPUT") output.bases.push_back({chain.name, chain.policy == "DROP"});
  }
  output.chains = [&table](Endpoint const &endpoint) {
    Chains chains;
    for (auto const &rule : table.rules) {
      bool const own = is_own_chain(rule.chain) || is_own_chain(rule.target());
      ChainStep const passed_over{ChainStep::Applies::never, {}, ChainStep::Then::next, {}};
      chains[rule.chain].push_back(own ? passed_over : step_of(rule, table, endpoint));
    }
    return chains;
  };
  return output;
}

}  // namespace

ForeignRules foreign_rules_of_tables(SavedRules const &saved, std::string const &source,
                                     FirewallSpec const &spec) {
  ForeignRules found;
  for (auto const &table : saved.tables) {
    auto const output = output_chains(table);
    OutputTable owners = output_table(table, source);
    std::map<std::string, std::size_t> positions;
    for (auto const &rule : table.rules) {
      auto const position = positions[rule.chain]++;
      if (is_own_chain(rule.chain) || is_own_chain(rule.target())) continue;
      RuleFacts facts = Reader(rule.words).read();
      facts.on_output = output.contains(rule.chain);
      if (spares_mark(rule.words, spec.exemption)) facts.restores_mark.reset();
      auto const verdict = judge(facts, spec);
      if (!verdict) continue;
      bool const only_filters = !facts.untracks && !facts.restores_mark && facts.nat_targets.empty();
      if (table.name != "nat")
        owners.rules.push_back({found.rules.size(), rule.chain, position, only_filters});
      auto const kind =
          leads_to_ecs_agent(table, rule) ? ForeignRule::Kind::ecs_agent : ForeignRule::Kind::other;
      found.rules.push_back({source + ' ' + table.name + '/' + rule.chain,
                             *verdict + "-A " + rule.chain + ' ' + rule.text,
                             concerned_endpoints(facts, spec), kind});
    }
    translate_owners(owners, found);
  }
  return found;
}

}  // namespace imdsgate
