// What values are held against: literals of the text as the tests of value_test.hpp.
#include "rules/compile_value.hpp"
#include "rules/excerpt.hpp"
#include "rules/lexer.hpp"

namespace imdsgate::eql {

std::optional<Address> compile_address(Compilation &state, std::string const &text, std::size_t at) {
  auto const parsed = Address::parse(text);
  if (parsed) return *parsed;
  return state.fail(at, text.find('/') == text.npos
                            ? "expected an IP address on a field of addresses"
                            : "expected one IP address; for a network, write cidrMatch");
}

bool add_equal(Compilation &state, OneOf &test, ValueExpression::Literal const &literal, std::size_t at) {
  if (auto const *text = std::get_if<std::string>(&literal)) {
    if (!test.address_field) {
      test.texts.add_text(*text);
      return true;
    }
    auto const parsed = compile_address(state, *text, at);
    if (parsed) test.addresses.push_back(*parsed);
    return parsed.has_value();
  }
  if (test.address_field) {
    state.fail(at, "expected an IP address on a field of addresses");
    return false;
  }
  if (auto const *number = std::get_if<Number>(&literal)) test.numbers.push_back(*number);
  if (auto const *truth = std::get_if<bool>(&literal)) test.texts.add_text(*truth ? "true" : "false");
  return true;  // a null is equal to nothing
}

namespace {

// A regular expression's error points into its string, as that stands in the text.
std::optional<ValueTest> compile_regexes(Compilation &state, PatternUse const &use,
                                         std::span<NodePtr const> nodes,
                                         std::vector<std::string> const &patterns) {
  auto compiled = compile_regex(patterns, use.folded ? Case::folded : Case::sensitive);
  if (auto const *failure = std::get_if<RegexFailure>(&compiled)) {
    Node const &node = *nodes[failure->pattern];
    bool const is_string = std::holds_alternative<std::string>(node.is);
    return state.fail(is_string ? offset_in_string(state.text, node.at, failure->at) : node.at,
                      failure->text);
  }
  auto &regex = std::get<Regex>(compiled);
  regex.address_field = use.address;
  return std::move(regex);
}

}  // namespace

std::optional<ValueTest> compile_patterns(Compilation &state, PatternUse const &use,
                                          std::span<NodePtr const> nodes) {
  std::string const wanted = quoted(use.name) + " compares with strings only; expected a string";
  OneOf test{PatternSet(use.folded ? Case::folded : Case::sensitive), {}, {}, use.address};
  std::vector<std::string> patterns;
  for (NodePtr const &node : nodes) {
    auto const literal = compile_literal(state, *node, wanted);
    if (!literal) return std::nullopt;
    auto const *text = std::get_if<std::string>(&*literal);
    if (text == nullptr) return state.fail(node->at, wanted);
    if (use.op == Predicate::Operator::regex) {
      patterns.push_back(*text);
    } else if (use.address && text->find_first_of("*?") == text->npos) {
      if (!add_equal(state, test, *text, node->at)) return std::nullopt;
    } else {
      test.texts.add_pattern(*text);
    }
  }
  if (use.op == Predicate::Operator::regex) return compile_regexes(state, use, nodes, patterns);
  return test;
}

std::optional<ValueTest> compile_networks(Compilation &state, std::span<NodePtr const> nodes) {
  constexpr std::string_view kWanted = "cidrMatch: expected a network, such as \"10.0.0.0/8\", or an address";
  Networks test;
  for (NodePtr const &node : nodes) {
    auto const literal = compile_literal(state, *node, kWanted);
    if (!literal) return std::nullopt;
    auto const *text = std::get_if<std::string>(&*literal);
    auto const network = text == nullptr ? std::nullopt : Networks::parse(*text);
    if (!network) return state.fail(node->at, std::string(kWanted));
    test.networks.push_back(*network);
  }
  return test;
}

}  // namespace imdsgate::eql
