#include "intercept/ruleset_save.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "model/address.hpp"

namespace imdsgate {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

Error malformed_line(std::string_view line) {
  return Error{Errc::malformed, "not a line of iptables-save: " + std::string(line)};
}

// "-A CHAIN rest", after an optional "[packets:bytes] ".
Result<SavedRule> parse_rule(std::string_view line) {
  std::string_view rest = line;
  if (rest.starts_with('[')) {
    auto const end = rest.find("] ");
    if (end == rest.npos) return malformed_line(line);
    rest.remove_prefix(end + 2);
  }
  if (!rest.starts_with("-A ")) return malformed_line(line);
  rest.remove_prefix(3);
  auto const end = rest.find(' ');
  SavedRule rule;
  rule.chain = rest.substr(0, end);
  if (end != rest.npos) rule.text = rest.substr(end + 1);
  auto words = split_words(rule.text);
  if (!words || rule.chain.empty()) return malformed_line(line);
  rule.words = std::move(*words);
  return rule;
}

// ":CHAIN POLICY [packets:bytes]"
Result<SavedChain> parse_chain(std::string_view line) {
  auto words = split_words(line.substr(1));
  if (!words || words->size() < 2) return malformed_line(line);
  return SavedChain{(*words)[0], (*words)[1]};
}

std::optional<std::uint32_t> number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint32_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string hex(std::uint32_t value) {
  char text[8];
  auto const [end, error] = std::to_chars(text, text + sizeof text, value, 16);
  return "0x" + std::string(text, end);
}

std::string canonical_mark(std::string const &text) {
  auto const slash = text.find('/');
  auto const value = number(std::string_view(text).substr(0, slash));
  auto const mask = slash == text.npos ? 0xffffffffU : number(std::string_view(text).substr(slash + 1));
  if (!value || !mask) return text;
  return hex(*value) + '/' + hex(*mask);
}

std::string canonical_address(std::string const &text) {
  auto const slash = text.find('/');
  auto const address = Address::parse(text.substr(0, slash));
  if (!address) return text;
  std::string const full = address->is_v4() ? "32" : "128";
  return address->to_string() + '/' + (slash == text.npos ? full : text.substr(slash + 1));
}

bool is_option(std::string const &word) {
  return word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9');
}

}  // namespace

std::string_view SavedRule::target() const {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "-j" || words[i] == "-g") return words[i + 1];
  }
  return {};
}

bool SavedTable::has_chain(std::string_view chain) const {
  return std::ranges::any_of(chains, [&](SavedChain const &each) { return each.name == chain; });
}

SavedTable const *SavedRules::table(std::string_view name) const {
  auto const found = std::ranges::find(tables, name, &SavedTable::name);
  return found == tables.end() ? nullptr : &*found;
}

Result<SavedRules> parse_saved_rules(std::string_view text) {
  SavedRules saved;
  bool open = false;
  while (!text.empty()) {
    auto const end = text.find('\n');
    auto const line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with('*') && !open) {
      saved.tables.push_back({std::string(line.substr(1)), {}, {}});
      open = true;
    } else if (!open) {
      return malformed_line(line);
    } else if (line == "COMMIT") {
      open = false;
    } else if (line.starts_with(':')) {
      auto chain = parse_chain(line);
      if (!chain) return chain.error();
      saved.tables.back().chains.push_back(std::move(*chain));
    } else {
      auto rule = parse_rule(line);
      if (!rule) return rule.error();
      saved.tables.back().rules.push_back(std::move(*rule));
    }
  }
  if (open) return Error{Errc::malformed, "iptables-save stopped within table " + saved.tables.back().name};
  return saved;
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char const c = line[i];
    if (quoted && c == '\\' && i + 1 < line.size()) {
      word += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && is_space(c)) {
      if (any) words.push_back(std::move(word));
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (quoted) return Error{Errc::malformed, "a quote is not closed: " + std::string(line)};
  if (any) words.push_back(std::move(word));
  return words;
}

std::string quote_word(std::string_view word) {
  bool const plain = !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (plain) return std::string(word);
  std::string quoted = "\"";
  for (char const c : word) {
    if (c == '"' || c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string canonical_rule(std::vector<std::string> const &words) {
  std::vector<std::string> terms;
  std::string negation;
  for (std::size_t i = 0; i < words.size();) {
    if (words[i] == "!") {
      negation = "! ";
      ++i;
      continue;
    }
    std::string const &option = words[i++];
    std::string term = negation + quote_word(option);
    negation.clear();
    while (i < words.size() && !is_option(words[i]) && words[i] != "!") {
      std::string value = words[i++];
      if (option == "-d" || option == "-s") value = canonical_address(value);
      if (option == "--mark") value = canonical_mark(value);
      term += ' ' + quote_word(value);
    }
    terms.push_back(std::move(term));
  }
  if (!negation.empty()) terms.push_back(negation);
  std::ranges::sort(terms);
  std::string text;
  for (auto const &term : terms) text += (text.empty() ? "" : " ") + term;
  return text;
}

bool is_own_chain(std::string_view chain) {
  return chain == "IMDSGATE" || chain.starts_with("IMDSGATE-");
}

}  // namespace imdsgate
