// nft -j's rules as RuleFacts. Source: libnftables-json(5).
#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "intercept/foreign_rules.hpp"
#include "intercept/foreign_rules_ruleset.hpp"
#include "intercept/owner_chains.hpp"

namespace imdsgate {
namespace {

using nft::at;
using nft::Key;
using nft::Ruleset;
using nft::text_at;
using nft::walk;
namespace json = boost::json;

// "daddr", "saddr" or another field of what a match or a map looks at; empty: none of these.
std::string field_of(json::value const &left) {
  std::string field;
  walk(left, [&](json::value const &value) {
    if (auto const *payload = at(value, "payload"); payload != nullptr && payload->is_object()) {
      if (field != "daddr") field = text_at(payload->get_object(), "field");
      if (payload->get_object().contains("base")) field = "raw";
    }
    if (auto const *ct = at(value, "ct"); ct != nullptr && ct->is_object()) {
      if (text_at(ct->get_object(), "key").ends_with("daddr")) field = "daddr";
      if (text_at(ct->get_object(), "key").ends_with("saddr") && field.empty()) field = "saddr";
    }
  });
  return field;
}

class Reader {
 public:
  Reader(Ruleset const &ruleset, std::string family, std::string table)
      : ruleset_(ruleset), family_(std::move(family)), table_(std::move(table)) {}

  RuleFacts read(json::array const &expressions) {
    for (auto const &expression : expressions) {
      if (auto const *match = at(expression, "match"); match != nullptr && match->is_object()) {
        read_match(match->get_object());
      } else {
        read_statement(expression);
      }
    }
    return std::move(facts_);
  }

 private:
  // Every address in the tree, those of the sets it names too.
  void addresses(json::value const &tree, std::vector<AddressBlock> &blocks) {
    walk(tree, [&](json::value const &value) {
      if (auto const *prefix = at(value, "prefix"); prefix != nullptr && prefix->is_object()) {
        auto const *length = prefix->get_object().if_contains("len");
        if (length != nullptr && length->is_int64()) {
          add(text_at(prefix->get_object(), "addr") + '/' + std::to_string(length->get_int64()), blocks);
        }
      } else if (auto const *range = at(value, "range"); range != nullptr && range->is_array()) {
        auto const &ends = range->get_array();
        if (ends.size() == 2 && ends[0].is_string() && ends[1].is_string()) {
          add(std::string(ends[0].get_string()) + '-' + std::string(ends[1].get_string()), blocks);
        }
      } else if (auto const *text = value.if_string()) {
        if (text->starts_with('@')) {
          named_set(std::string(text->subview(1)), blocks);
        } else {
          add(std::string(*text), blocks);
        }
      }
    });
  }

  void add(std::string const &text, std::vector<AddressBlock> &blocks) {
    if (auto block = AddressBlock::parse(text)) blocks.push_back(*block);
  }

  void named_set(std::string const &name, std::vector<AddressBlock> &blocks) {
    auto const found = ruleset_.sets.find({family_, table_, name});
    if (found == ruleset_.sets.end()) {
      facts_.unreadable.push_back("set " + name);
    } else if (found->second != nullptr) {
      addresses(*found->second, blocks);
    }
  }

  void destinations(json::value const &tree, bool negated) {
    std::vector<AddressBlock> blocks;
    addresses(tree, blocks);
    for (auto const &block : blocks) facts_.destinations.push_back({block, negated});
  }

  void read_match(json::object const &match) {
    auto const *left = match.if_contains("left");
    auto const *right = match.if_contains("right");
    if (left == nullptr || right == nullptr) return;
    bool const negated = text_at(match, "op") == "!=";
    std::string const field = field_of(*left);
    // libnftables writes `ip daddr & M == A` as {"&": [payload, M]} on the left.
    auto const *masked = at(*left, "&");
    if (field == "daddr" && masked != nullptr && masked->is_array() && right->is_string()) {
      auto const &operands = masked->get_array();
      std::string const mask =
          operands.size() == 2 && operands[1].is_string() ? std::string(operands[1].get_string()) : "";
      std::vector<AddressBlock> blocks;
      add(std::string(right->get_string()) + '/' + mask, blocks);
      if (blocks.empty()) facts_.unreadable.emplace_back("a masked address");
      for (auto const &block : blocks) facts_.destinations.push_back({block, negated});
    } else if (field == "daddr") {
      destinations(*right, negated);
    } else if (field == "raw") {
      facts_.unreadable.emplace_back("a raw payload match");
    }
    if (field == "sport") facts_.source_port = !negated;
    if (field == "dport" && at(*left, "payload") != nullptr && !negated) ports(*right);
    protocol(*left, *right, negated);
    meta(*left);
  }

  void meta(json::value const &left) {
    auto const *meta = at(left, "meta");
    if (meta == nullptr || !meta->is_object()) return;
    std::string const key = text_at(meta->get_object(), "key");
    if (key == "skuid" || key == "skgid") facts_.owner = true;
    if (key == "oif" || key == "oifname" || key == "oiftype" || key == "oifgroup")
      facts_.out_interface = true;
  }

  void protocol(json::value const &left, json::value const &right, bool negated) {
    if (auto const *payload = at(left, "payload"); payload != nullptr && payload->is_object()) {
      std::string const name = text_at(payload->get_object(), "protocol");
      for (auto const other : {"udp", "udplite", "icmp", "icmpv6", "sctp", "dccp", "esp", "ah", "comp"}) {
        if (name == other) facts_.excludes_tcp = true;
      }
      auto const field = text_at(payload->get_object(), "field");
      if (field == "protocol" || field == "nexthdr") protocol_name(right, negated);
    }
    auto const *meta = at(left, "meta");
    if (meta != nullptr && meta->is_object() && text_at(meta->get_object(), "key") == "l4proto") {
      protocol_name(right, negated);
    }
  }

  void protocol_name(json::value const &right, bool negated) {
    if (auto const *name = right.if_string(); name != nullptr && !name->starts_with('@')) {
      bool const tcp = *name == "tcp";
      if (tcp == negated) facts_.excludes_tcp = true;
    }
  }

  // Only what is a number, or a set or range of numbers; anything else leaves the rule about every port.
  void ports(json::value const &right) {
    std::vector<PortRange> ranges;
    auto const add_port = [&](json::value const &first, json::value const &last) {
      if (!first.is_int64() || !last.is_int64()) return false;
      ranges.push_back(
          {static_cast<std::uint16_t>(first.get_int64()), static_cast<std::uint16_t>(last.get_int64())});
      return true;
    };
    auto const add_element = [&](json::value const &element) {
      auto const *range = at(element, "range");
      if (range == nullptr || !range->is_array() || range->get_array().size() != 2)
        return add_port(element, element);
      return add_port(range->get_array()[0], range->get_array()[1]);
    };
    bool all = true;
    if (auto const *set = at(right, "set"); set != nullptr && set->is_array()) {
      for (auto const &element : set->get_array()) all = add_element(element) && all;
    } else {
      all = add_element(right);
    }
    if (all) facts_.ports = ranges;
  }

  void read_statement(json::value const &statement) {
    if (at(statement, "drop") != nullptr || at(statement, "reject") != nullptr) facts_.drops = true;
    if (at(statement, "notrack") != nullptr) facts_.untracks = true;
    if (at(statement, "xt") != nullptr) facts_.unreadable.emplace_back("an expression of iptables");
    if (auto const *mangle = at(statement, "mangle"); mangle != nullptr) restored_mark(*mangle);
    if (auto const *vmap = at(statement, "vmap"); vmap != nullptr) keyed(*vmap);
    for (auto const kind : {"dnat", "tproxy", "dup", "fwd", "redirect"}) {
      auto const *nat = at(statement, kind);
      if (nat == nullptr) continue;
      walk(*nat, [&](json::value const &value) {
        if (auto const *map = at(value, "map")) keyed(*map);
      });
      addresses(*nat, facts_.nat_targets);
    }
  }

  // A map's or verdict map's keys are destinations where it looks one up.
  void keyed(json::value const &map) {
    auto const *key = at(map, "key");
    auto const *data = at(map, "data");
    if (key == nullptr || data == nullptr) return;
    std::string const field = field_of(*key);
    if (field == "daddr") destinations(*data, false);
    if (field == "raw") facts_.unreadable.emplace_back("a raw payload map");
  }

  void restored_mark(json::value const &mangle) {
    auto const *key = at(mangle, "key");
    auto const *value = at(mangle, "value");
    auto const *meta = key == nullptr ? nullptr : at(*key, "meta");
    if (value == nullptr || meta == nullptr || !meta->is_object()) return;
    if (text_at(meta->get_object(), "key") != "mark") return;
    walk(*value, [&](json::value const &each) {
      auto const *ct = at(each, "ct");
      if (ct != nullptr && ct->is_object() && text_at(ct->get_object(), "key") == "mark") {
        facts_.restores_mark = 0xffffffff;
      }
    });
  }

  Ruleset const &ruleset_;
  std::string family_, table_;
  RuleFacts facts_;
};

bool shown_by_iptables(SavedRules const &saved, std::string const &table, std::string const &chain) {
  auto const *printed = saved.table(table);
  return printed != nullptr &&
         std::ranges::any_of(printed->rules, [&](SavedRule const &rule) { return rule.chain == chain; });
}

FirewallSpec of_family(FirewallSpec spec, std::string const &family) {
  std::erase_if(spec.endpoints, [&](Endpoint const &endpoint) {
    return (family == "ip" && !endpoint.address.is_v4()) || (family == "ip6" && endpoint.address.is_v4());
  });
  return spec;
}

json::array const *expressions_of(json::object const &rule) {
  auto const *expressions = rule.if_contains("expr");
  return expressions != nullptr ? expressions->if_array() : nullptr;
}

// One table. What iptables' view shows is translated from there, and a nat chain only translates addresses.
OutputTable output_table(Ruleset const &ruleset, std::string const &family, std::string const &table,
                         std::function<bool(std::string const &chain)> const &passed_over) {
  OutputTable output{"nft " + family + ' ' + table, {}, {}, {}};
  for (auto const &[key, hook] : ruleset.hooks) {
    auto const &[its_family, its_table, chain] = key;
    if (hook != "output" || its_family != family || its_table != table) continue;
    if (!passed_over(chain) && !ruleset.translating.contains(key)) {
      output.bases.push_back({chain, ruleset.dropping.contains(key)});
    }
  }
  output.chains = [&ruleset, family, table](Endpoint const &endpoint) {
    Chains chains;
    for (auto const *rule : ruleset.rules) {
      if (text_at(*rule, "family") != family || text_at(*rule, "table") != table) continue;
      auto const *expressions = expressions_of(*rule);
      static json::array const kNone;
      chains[text_at(*rule, "chain")].push_back(step_of(expressions ? *expressions : kNone, endpoint));
    }
    return chains;
  };
  return output;
}

}  // namespace

Result<ForeignRules> foreign_rules_of_nft(std::string_view text, std::string_view listing,
                                          SavedRules const &ip, SavedRules const &ip6,
                                          FirewallSpec const &spec) {
  boost::system::error_code error;
  json::value const document = json::parse(text, error);
  auto const *items = error ? nullptr : at(document, "nftables");
  if (items == nullptr || !items->is_array()) return Error{Errc::malformed, "nft's JSON cannot be read"};
  Ruleset const ruleset = nft::read_ruleset(items->get_array());
  auto const output = nft::output_chains(ruleset);
  auto const texts = nft::rule_texts(listing);
  ForeignRules found;
  std::map<std::pair<std::string, std::string>, OutputTable> tables;
  std::map<Key, std::size_t> positions;
  for (auto const *rule : ruleset.rules) {
    std::string const family = text_at(*rule, "family"), table = text_at(*rule, "table"),
                      chain = text_at(*rule, "chain");
    auto const position = positions[{family, table, chain}]++;
    auto const passed_over = [&ip, &ip6, family, table](std::string const &name) {
      if (family != "ip" && family != "ip6") return false;
      return shown_by_iptables(family == "ip" ? ip : ip6, table, name) || is_own_chain(name);
    };
    auto const *expressions = expressions_of(*rule);
    if (family == "arp" || passed_over(chain) || expressions == nullptr) continue;
    RuleFacts facts = Reader(ruleset, family, table).read(*expressions);
    facts.on_output = output.contains({family, table, chain});
    // ebtables-nft's rules are full of them, and see frames on a bridge after this host's NAT.
    if (family == "bridge" || family == "netdev") facts.unreadable.clear();
    auto const verdict = judge(facts, of_family(spec, family));
    if (!verdict) continue;
    auto const *handle = rule->if_contains("handle");
    std::string const number =
        handle != nullptr && handle->is_int64() ? std::to_string(handle->get_int64()) : "";
    auto const printed = texts.find({family, table, number});
    auto const owners =
        tables.try_emplace({family, table}, output_table(ruleset, family, table, passed_over)).first;
    bool const only_filters = !facts.untracks && !facts.restores_mark && facts.nat_targets.empty();
    owners->second.rules.push_back({found.rules.size(), chain, position, only_filters});
    found.rules.push_back(
        {"nft " + family + ' ' + table + '/' + chain,
         *verdict + (printed != texts.end() ? printed->second : json::serialize(*expressions)),
         concerned_endpoints(facts, of_family(spec, family))});
  }
  for (auto const &[key, table] : tables) translate_owners(table, found);
  return found;
}

}  // namespace imdsgate
