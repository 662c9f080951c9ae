// What iptables-save prints, as values. Pure.
// Source: iptables' iptables/iptables-save.c, libxtables' xtables_save_string() and add_argv() for the
// quoting.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

struct SavedRule {
  std::string chain;
  std::string text;                // what follows "-A CHAIN ", as printed: iptables-restore reads it back
  std::vector<std::string> words;  // the same, unquoted

  std::string_view target() const;  // what -j or -g names; empty: none
};

struct SavedChain {
  std::string name;
  std::string policy;  // "-" for a chain of a user's
};

struct SavedTable {
  std::string name;
  std::vector<SavedChain> chains;
  std::vector<SavedRule> rules;

  bool has_chain(std::string_view chain) const;
};

struct SavedRules {
  std::vector<SavedTable> tables;
  SavedTable const *table(std::string_view name) const;  // nullptr: not printed
};

// Strict: a line that is none of iptables-save's, or a table that does not end, is Errc::malformed. Comments
// are skipped.
Result<SavedRules> parse_saved_rules(std::string_view text);

// Splits at white space outside double quotes; inside them a backslash takes the next character as it is.
Result<std::vector<std::string>> split_words(std::string_view line);
std::string quote_word(std::string_view word);  // as iptables-save prints a string

// One text for all spellings of the same rule: the terms in a fixed order, /32 and /128 and a mark's mask
// made explicit. A term it does not know is kept as it is, so two rules that might differ never look the
// same.
std::string canonical_rule(std::vector<std::string> const &words);

// The gateway's own chains: IMDSGATE, and every name that begins with IMDSGATE-.
bool is_own_chain(std::string_view chain);

}  // namespace imdsgate
