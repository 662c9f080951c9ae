#include "intercept/ruleset.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace imdsgate {
namespace {

constexpr std::string_view kMadePrefix = "IMDSGATE-MADE-";

using Values = std::vector<std::pair<std::string_view, std::string>>;

std::string hex(std::uint32_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[value % 16]);
    value /= 16;
  } while (value != 0);
  return "0x" + text;
}

std::string exemption_terms(Exemption const &exemption) {
  std::string terms = "-m mark --mark " + hex(exemption.mark) + '/' + hex(exemption.mask);
  if (exemption.uid) terms += " -m owner --uid-owner " + std::to_string(*exemption.uid);
  if (exemption.cgroup) terms += " -m cgroup --path " + quote_word(*exemption.cgroup);
  return terms;
}

std::string fill(std::string line, Values const &values) {
  for (auto const &[name, value] : values) {
    for (auto at = line.find(name); at != line.npos; at = line.find(name, at + value.size())) {
      line.replace(at, name.size(), value);
    }
  }
  return line;
}

bool names(std::string_view line, std::string_view placeholder) {
  return line.find(placeholder) != line.npos;
}

// The line, once for each endpoint of the family.
std::vector<std::string> for_each_of(std::vector<Endpoint> const &endpoints, bool ipv6, std::string const &line,
                                     std::string_view address, std::string_view port) {
  std::vector<std::string> lines;
  for (auto const &endpoint : endpoints) {
    if (endpoint.address.is_v4() == ipv6) continue;
    lines.push_back(fill(line, {{address, endpoint.address.to_string()}, {port, std::to_string(endpoint.port)}}));
  }
  return lines;
}

// One line of the data, as the lines it stands for.
std::vector<std::string> expand(std::string_view line, FirewallSpec const &spec, bool ipv6) {
  Exemption root = spec.exemption;
  root.uid = 0;
  bool const covered = !spec.exemption.uid || spec.exemption.uid == root.uid;
  Values const common{{"@EXEMPT@", exemption_terms(spec.exemption)},
                      {"@EXEMPT_ROOT@", exemption_terms(root)},
                      {"@LISTEN@", std::to_string(spec.listen_port)}};
  std::string const base = fill(std::string(line), common);
  if (names(line, "@ROOT_ADDRESS@")) {
    if (covered) return {};
    return for_each_of(spec.dialled_as_root, ipv6, base, "@ROOT_ADDRESS@", "@ROOT_PORT@");
  }
  if (!names(line, "@ADDRESS@")) return {base};
  auto const each = for_each_of(spec.endpoints, ipv6, base, "@ADDRESS@", "@PORT@");
  if (!names(line, "@INTERFACE@") && !names(line, "@BRIDGE@")) return each;
  std::vector<std::string> lines;
  for (auto const &filled : each) {
    if (names(line, "@BRIDGE@") && !names(line, "@BRIDGE_ADDRESS@")) {
      for (auto const &bridge : spec.bridges) lines.push_back(fill(filled, {{"@BRIDGE@", bridge}}));
      continue;
    }
    for (auto const &[interface, address] : spec.interfaces) {
      if (address.is_v4() == ipv6) continue;
      if (names(line, "@BRIDGE@") && std::ranges::find(spec.bridges, interface) == spec.bridges.end()) continue;
      auto const text = address.to_string();
      lines.push_back(fill(filled, {{"@INTERFACE_ADDRESS@", text},
                                    {"@INTERFACE@", interface},
                                    {"@BRIDGE_ADDRESS@", text},
                                    {"@BRIDGE@", interface}}));
    }
  }
  return lines;
}

// A filled line of the data, put into the table it belongs to.
Result<void> add_line(OwnTable &table, std::string const &line) {
  if (line.find('@') != line.npos) return Error{Errc::malformed, "a placeholder is not known: " + line};
  if (line.starts_with(':')) {
    table.chains.push_back(line.substr(1, line.find(' ') - 1));
    return {};
  }
  auto words = split_words(line);
  if (!words) return words.error();
  if (line.starts_with("-I ") && words->size() > 3) {
    std::string const head = "-I " + (*words)[1] + ' ' + (*words)[2] + ' ';
    table.references.push_back({(*words)[1], 1, line.substr(head.size())});
    return {};
  }
  if (!line.starts_with("-A ") || words->size() < 3) return Error{Errc::malformed, "not understood: " + line};
  std::string const &chain = (*words)[1];
  table.rules.push_back({chain, line.substr(4 + chain.size()), {words->begin() + 2, words->end()}});
  return {};
}

bool is_interface_name(std::string const &name) {
  return !name.empty() && name.size() < 16 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  });
}

std::string reference_text(std::string const &verb, OwnTable::Reference const &reference) {
  return verb + ' ' + reference.chain + ' ' + reference.rule + '\n';
}

}  // namespace

std::string made_chain_mark(std::string_view chain) { return std::string(kMadePrefix) + std::string(chain); }

bool is_made_mark(std::string_view chain) { return chain.starts_with(kMadePrefix); }

bool OwnTable::has_chain(std::string_view chain) const {
  return std::ranges::find(chains, chain) != chains.end();
}

Result<void> check_spec(FirewallSpec const &spec) {
  auto const refuse = [](std::string text) { return Error{Errc::malformed, std::move(text)}; };
  auto const &[mark, mask, uid, cgroup] = spec.exemption;
  if ((mark & mask) == 0 || (mark & ~mask) != 0) {
    return refuse("the mark " + hex(mark) + '/' + hex(mask) + " would exempt everyone or no one");
  }
  if (spec.listen_port == 0) return refuse("the listen port is 0");
  for (auto const &endpoint : spec.endpoints) {
    if (endpoint.port == 0) return refuse("the endpoint " + endpoint.to_string() + " has no port");
  }
  for (auto const &each : spec.interfaces) {
    if (!is_interface_name(each.interface)) return refuse("not an interface's name: " + each.interface);
  }
  for (auto const &bridge : spec.bridges) {
    if (!is_interface_name(bridge)) return refuse("not an interface's name: " + bridge);
  }
  if (cgroup) {
    bool const printable = std::ranges::all_of(*cgroup, [](char c) { return c > ' ' && c < 0x7f; });
    bool const short_enough = cgroup->size() < 512;  // XT_CGROUP_PATH_LEN of linux/netfilter/xt_cgroup.h
    if (cgroup->empty() || cgroup->front() == '/' || !printable || !short_enough) {
      return refuse("not a cgroup the firewall can name: " + *cgroup);
    }
  }
  return {};
}

Result<std::vector<OwnTable>> render_ruleset(FirewallSpec const &spec, bool ipv6, std::string_view data) {
  if (auto checked = check_spec(spec); !checked) return checked.error();
  bool const endpoints = std::ranges::any_of(
      spec.endpoints, [&](Endpoint const &endpoint) { return endpoint.address.is_v4() != ipv6; });
  std::vector<OwnTable> tables;
  bool wanted = false;
  while (!data.empty()) {
    auto const end = data.find('\n');
    auto const line = data.substr(0, end);
    data.remove_prefix(end == data.npos ? data.size() : end + 1);
    if (line.empty() || line.starts_with('#') || line == "COMMIT") continue;
    if (line.starts_with('*')) {
      tables.push_back({std::string(line.substr(1)), {}, {}, {}});
      wanted = endpoints && (line == "*nat" ? spec.redirect : spec.fence);
      continue;
    }
    if (tables.empty()) return Error{Errc::malformed, "a rule stands before any table: " + std::string(line)};
    if (!wanted) continue;
    bool const sends_here = tables.back().table == "nat" && line.find("@ADDRESS@") != line.npos;
    if (spec.draining && sends_here) continue;
    if (spec.bridges.empty() && names(line, "IMDSGATE-BRIDGE")) continue;
    for (auto const &filled : expand(line, spec, ipv6)) {
      if (auto added = add_line(tables.back(), filled); !added) return added.error();
    }
  }
  return tables;
}

OwnTable own_part(SavedTable const *saved, std::string_view table) {
  OwnTable own{std::string(table), {}, {}, {}};
  if (saved == nullptr) return own;
  for (auto const &chain : saved->chains) {
    if (is_own_chain(chain.name)) own.chains.push_back(chain.name);
  }
  std::map<std::string_view, std::size_t> seen;
  for (auto const &rule : saved->rules) {
    std::size_t const position = ++seen[rule.chain];
    if (is_own_chain(rule.chain)) {
      own.rules.push_back(rule);
    } else if (is_own_chain(rule.target())) {
      own.references.push_back({rule.chain, position, rule.text});
    }
  }
  return own;
}

std::string transition(SavedTable const *saved, OwnTable const &wanted) {
  OwnTable const present = own_part(saved, wanted.table);
  if (present.empty() && wanted.empty()) return {};
  std::string text = '*' + wanted.table + '\n';
  for (auto const &reference : present.references) text += reference_text("-D", reference);
  // Naming a chain makes it, or empties it where it is.
  for (auto const &chain : wanted.chains) text += ':' + chain + " - [0:0]\n";
  std::vector<std::string> stale;
  std::ranges::copy_if(present.chains, std::back_inserter(stale),
                       [&](std::string const &chain) { return !wanted.has_chain(chain); });
  for (auto const &chain : stale) text += "-F " + chain + '\n';
  for (auto const &chain : stale) text += "-X " + chain + '\n';
  for (auto const &rule : wanted.rules) text += "-A " + rule.chain + ' ' + rule.text + '\n';
  for (auto const &reference : wanted.references) {
    text +=
        reference_text("-I", {reference.chain + ' ' + std::to_string(reference.position), 0, reference.rule});
  }
  return text + "COMMIT\n";
}

namespace {

void compare_chain(std::string const &chain, OwnTable const &present, OwnTable const &wanted,
                   std::vector<std::string> &lines) {
  auto const rules_of = [&](OwnTable const &table) {
    std::vector<std::pair<std::string, std::string>> rules;  // canonical, as written
    for (auto const &rule : table.rules) {
      if (rule.chain == chain) rules.emplace_back(canonical_rule(rule.words), rule.text);
    }
    return rules;
  };
  auto const there = rules_of(present), asked = rules_of(wanted);
  std::multiset<std::string> unmatched;
  for (auto const &[canonical, text] : there) unmatched.insert(canonical);
  std::string const where = wanted.table + '/' + chain + ": ";
  std::size_t const before = lines.size();
  for (auto const &[canonical, text] : asked) {
    auto const found = unmatched.find(canonical);
    if (found == unmatched.end()) {
      lines.push_back(where + "missing: " + text);
    } else {
      unmatched.erase(found);
    }
  }
  for (auto const &[canonical, text] : there) {
    auto const found = unmatched.find(canonical);
    if (found == unmatched.end()) continue;
    unmatched.erase(found);
    lines.push_back(where + "not ours: " + text);
  }
  bool const same_order = std::ranges::equal(there, asked, {}, &std::pair<std::string, std::string>::first,
                                             &std::pair<std::string, std::string>::first);
  if (lines.size() == before && !same_order) lines.push_back(where + "the rules are in another order");
}

bool same_reference(OwnTable::Reference const &present, OwnTable::Reference const &asked) {
  auto const words = split_words(present.rule), asked_words = split_words(asked.rule);
  return present.chain == asked.chain && words && asked_words && canonical_rule(*words) == canonical_rule(*asked_words);
}

void compare_reference(OwnTable::Reference const &asked, OwnTable const &present, std::string const &where,
                       std::vector<std::string> &lines) {
  std::size_t count = 0, position = 0;
  for (auto const &reference : present.references) {
    if (same_reference(reference, asked) && count++ == 0) position = reference.position;
  }
  std::string const jump = where + asked.chain + ": the jump (" + asked.rule + ") ";
  if (count == 0) lines.push_back(jump + "is missing");
  if (count > 1) lines.push_back(jump + "is there " + std::to_string(count) + " times");
  if (count > 0 && position != asked.position) {
    lines.push_back(jump + "is rule " + std::to_string(position) + ", not the first");
  }
}

}  // namespace

std::vector<std::string> differences(OwnTable const &present, OwnTable const &wanted) {
  std::vector<std::string> lines;
  std::string const where = wanted.table + '/';
  std::set<std::string> chains(present.chains.begin(), present.chains.end());
  chains.insert(wanted.chains.begin(), wanted.chains.end());
  for (auto const &chain : chains) {
    if (is_made_mark(chain)) continue;
    if (!present.has_chain(chain)) {
      lines.push_back(where + chain + ": the chain is missing");
    } else if (!wanted.has_chain(chain)) {
      lines.push_back(where + chain + ": the chain should not be there");
    } else {
      compare_chain(chain, present, wanted, lines);
    }
  }
  for (auto const &reference : present.references) {
    bool const is_asked = std::ranges::any_of(
        wanted.references, [&](OwnTable::Reference const &asked) { return same_reference(reference, asked); });
    if (is_asked) continue;
    auto const *what = wanted.references.empty() ? ": should not be there: " : ": not ours: ";
    lines.push_back(where + reference.chain + what + reference.rule);
  }
  for (auto const &asked : wanted.references) compare_reference(asked, present, where, lines);
  return lines;
}

}  // namespace imdsgate
