#include "rules/expression_parser.hpp"

#include <algorithm>
#include <limits>

#include "rules/excerpt.hpp"

namespace imdsgate::eql {
namespace {

constexpr int kDeepest = 200;
// In one condition: a chain of them leans to the left, one level of the tree each, and parentheses can string
// chains up.
constexpr int kMostArithmetic = 500;

}  // namespace

struct ExpressionParser::Infix {
  Binding binding;
  std::variant<Logical::Operator, Comparison::Operator, Predicate::Operator, char> op;
  bool negated = false;
  int tokens = 1;
};

NodePtr ExpressionParser::expression(Binding least) {
  if (++depth_ > kDeepest) return tokens_.fail(tokens_.now().at, "nested too deeply; at most 200 levels");
  NodePtr left = prefix();
  while (left) {
    auto const infix = infix_operator();
    if (!infix || infix->binding < least || tokens_.failure()) break;
    if (infix->binding >= kAdd && ++arithmetic_ > kMostArithmetic) {
      return tokens_.fail(tokens_.now().at, "too many arithmetic operators; at most 500");
    }
    left = combine(std::move(left), *infix);
  }
  --depth_;
  return tokens_.failure() ? nullptr : std::move(left);
}

std::optional<ExpressionParser::Infix> ExpressionParser::infix_word() {
  Token const &token = tokens_.now();
  if (token.is_word("and")) return Infix{kAnd, Logical::Operator::conjunction};
  if (token.is_word("or")) return Infix{kOr, Logical::Operator::disjunction};
  bool const negated = token.is_word("not");
  Token const &name = negated ? tokens_.ahead(1) : token;
  if (name.kind != Token::Kind::word) return std::nullopt;
  int const tokens = negated ? 2 : 1;
  if (name.text == "in") return Infix{kCompare, Predicate::Operator::in, negated, tokens};
  if (name.text == "like") return Infix{kCompare, Predicate::Operator::like, negated, tokens};
  if (name.text == "regex") return Infix{kCompare, Predicate::Operator::regex, negated, tokens};
  return std::nullopt;
}

std::optional<ExpressionParser::Infix> ExpressionParser::infix_operator() {
  Token const &token = tokens_.now();
  if (token.kind == Token::Kind::word) return infix_word();
  if (token.kind != Token::Kind::symbol) return std::nullopt;
  using Op = Comparison::Operator;
  if (token.text == ":") return Infix{kCompare, Predicate::Operator::colon};
  if (token.text == "==") return Infix{kCompare, Op::equal};
  if (token.text == "!=") return Infix{kCompare, Op::not_equal};
  if (token.text == "<") return Infix{kCompare, Op::less};
  if (token.text == "<=") return Infix{kCompare, Op::less_equal};
  if (token.text == ">") return Infix{kCompare, Op::greater};
  if (token.text == ">=") return Infix{kCompare, Op::greater_equal};
  if (token.text == "+" || token.text == "-") return Infix{kAdd, token.text[0]};
  if (token.text == "*" || token.text == "/" || token.text == "%") return Infix{kMultiply, token.text[0]};
  if (token.text == "=") tokens_.fail(token.at, "'=' is no operator; expected '==' or ':'");
  if (token.text == "!:")
    tokens_.fail(token.at, "'!:' is no operator; expected 'not' before the term and ':' here");
  if (token.text == "!") tokens_.fail(token.at, "'!' is no operator; expected 'not' or '!='");
  return std::nullopt;
}

NodePtr ExpressionParser::combine(NodePtr left, Infix const &infix) {
  std::size_t const at = tokens_.now().at;
  if (auto const *op = std::get_if<Logical::Operator>(&infix.op))
    return logical(std::move(left), *op, infix.binding);
  if (auto const *op = std::get_if<Predicate::Operator>(&infix.op))
    return predicate(std::move(left), *op, infix);
  tokens_.take();
  NodePtr right = expression(Binding(infix.binding + 1));
  if (!right) return nullptr;
  if (auto const *op = std::get_if<char>(&infix.op)) {
    return make_node(at, Arithmetic{*op, std::move(left), std::move(right)});
  }
  auto node =
      make_node(at, Comparison{std::get<Comparison::Operator>(infix.op), std::move(left), std::move(right)});
  return unchained(std::move(node));
}

NodePtr ExpressionParser::unchained(NodePtr node) {
  auto const next = infix_operator();
  if (next && next->binding == kCompare) {
    return tokens_.fail(tokens_.now().at,
                        "comparisons cannot be chained; expected 'and' or 'or' between them");
  }
  return node;
}

NodePtr ExpressionParser::logical(NodePtr left, Logical::Operator op, Binding binding) {
  Logical chain{op, {}};
  std::size_t const at = tokens_.now().at;
  chain.operands.push_back(std::move(left));
  while (true) {
    tokens_.take();
    NodePtr operand = expression(Binding(binding + 1));
    if (!operand) return nullptr;
    chain.operands.push_back(std::move(operand));
    auto const next = infix_operator();
    if (!next || next->binding != binding) break;
  }
  return make_node(at, std::move(chain));
}

NodePtr ExpressionParser::predicate(NodePtr left, Predicate::Operator op, Infix const &infix) {
  Predicate result{op, op == Predicate::Operator::colon, infix.negated, std::move(left), {}};
  std::size_t const at = tokens_.now().at;
  for (int i = 0; i < infix.tokens; ++i) result.insensitive = tokens_.take().tilde || result.insensitive;
  if (tokens_.now().is_symbol("(")) {
    tokens_.take();
    if (!arguments(result.right, "a value")) return nullptr;
    if (result.right.empty()) return tokens_.fail(at, "the list is empty; expected at least one value");
  } else if (op == Predicate::Operator::in) {
    return tokens_.expected("'(' and a list after 'in'");
  } else {
    NodePtr right = expression(kAdd);
    if (!right) return nullptr;
    result.right.push_back(std::move(right));
  }
  return unchained(make_node(at, std::move(result)));
}

// After the '(': expressions up to and with the ')'.
bool ExpressionParser::arguments(std::vector<NodePtr> &into, std::string_view what) {
  if (tokens_.eat(")")) return true;
  while (true) {
    if (tokens_.now().is_symbol(",") || tokens_.now().is_symbol(")")) {
      tokens_.expected(what);
      return false;
    }
    NodePtr argument = expression(kOr);
    if (!argument) return false;
    into.push_back(std::move(argument));
    if (tokens_.eat(")")) return true;
    if (!tokens_.eat(",")) {
      tokens_.expected("',' or ')'");
      return false;
    }
  }
}

NodePtr ExpressionParser::prefix() {
  Token const &token = tokens_.now();
  std::size_t const at = token.at;
  switch (token.kind) {
    case Token::Kind::string: return make_node(at, std::string(tokens_.take().text));
    case Token::Kind::number:
      if (token.least) return tokens_.fail(at, "this number is too large");
      return make_node(at, tokens_.take().number);
    case Token::Kind::name: return field(false);
    case Token::Kind::word: return word();
    case Token::Kind::symbol: break;
    case Token::Kind::end: return tokens_.expected("a condition");
  }
  if (tokens_.eat("(")) return parenthesised();
  if (token.is_symbol("?")) {
    tokens_.take();
    if (tokens_.now().kind == Token::Kind::word || tokens_.now().kind == Token::Kind::name)
      return field(true);
    return tokens_.expected("a field name after '?'");
  }
  if (token.is_symbol("-") || token.is_symbol("+")) return sign();
  if (token.is_symbol("!")) return tokens_.fail(at, "'!' is no operator; expected 'not'");
  return tokens_.expected("a field, a value, 'not' or '('");
}

NodePtr ExpressionParser::parenthesised() {
  NodePtr inner = expression(kOr);
  if (!inner) return nullptr;
  if (tokens_.now().is_symbol(","))
    return tokens_.fail(tokens_.now().at, "a list stands after ':', like or in only; expected ')'");
  if (!tokens_.eat(")")) return tokens_.expected("')'");
  return inner;
}

NodePtr ExpressionParser::sign() {
  Token const &token = tokens_.take();
  bool const minus = token.text == "-";
  std::size_t const at = token.at;
  if (minus && tokens_.now().least) {
    Number number{true, std::numeric_limits<std::int64_t>::min(), -tokens_.now().number.real};
    tokens_.take();
    return make_node(at, number);
  }
  NodePtr operand = expression(kUnary);
  if (!operand) return operand;
  if (auto *number = std::get_if<Number>(&operand->is)) {
    if (!minus) return operand;
    if (number->integer == std::numeric_limits<std::int64_t>::min()) *number = {false, 0, number->real};
    number->integer = -number->integer;
    number->real = -number->real;
    operand->at = at;
    return operand;
  }
  if (minus) return make_node(at, Negative{std::move(operand)});
  return make_node(at, Arithmetic{'+', make_node(at, Number{}), std::move(operand)});  // 0 + it
}

NodePtr ExpressionParser::word() {
  Token const &token = tokens_.now();
  std::size_t const at = token.at;
  if (token.is_word("not")) {
    tokens_.take();
    NodePtr operand = expression(kCompare);
    return operand ? make_node(at, Not{std::move(operand)}) : nullptr;
  }
  if (token.is_word("true") || token.is_word("false")) return make_node(at, tokens_.take().text == "true");
  if (token.is_word("null")) {
    tokens_.take();
    return make_node(at, Null{});
  }
  if (tokens_.ahead(1).is_word("of")) {
    return tokens_.fail(at, "lineage (child of, descendant of, event of) is not supported");
  }
  if (tokens_.ahead(1).is_symbol("(") && !is_keyword(token.text)) return call();
  if (token.tilde) return tokens_.fail(at, "expected a field, found " + described(token));
  if (is_keyword(token.text)) return tokens_.expected("a field, a value, 'not' or '('");
  return field(false);
}

NodePtr ExpressionParser::call() {
  Token const &name = tokens_.take();
  Call result{name.text, name.tilde, {}};
  std::size_t const at = name.at;
  tokens_.take();
  if (!arguments(result.arguments, "an argument")) return nullptr;
  return make_node(at, std::move(result));
}

// a.b.`c d`; behind a dot a keyword is a name like any other (event.sequence).
NodePtr ExpressionParser::field(bool optional) {
  std::size_t const at = tokens_.now().at;
  if (tokens_.now().kind == Token::Kind::word && is_keyword(tokens_.now().text))
    return tokens_.expected("a field name");
  FieldName name{tokens_.take().text, optional};
  while (tokens_.eat(".")) {
    if ((tokens_.now().kind != Token::Kind::word || tokens_.now().tilde) &&
        tokens_.now().kind != Token::Kind::name) {
      return tokens_.expected("a field name after '.'");
    }
    name.name += '.' + tokens_.take().text;
  }
  if (tokens_.now().is_symbol("[") && tokens_.ahead(1).kind == Token::Kind::number)
    return tokens_.fail(tokens_.now().at,
                        "array positions are not supported; a term fits when any element does");
  check_keyword_case();
  return make_node(at, std::move(name));
}

// a AND b
void ExpressionParser::check_keyword_case() {
  Token const &next = tokens_.now();
  if (next.kind != Token::Kind::word || is_keyword(next.text)) return;
  std::string lower = next.text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  if (is_keyword(lower)) tokens_.fail(next.at, "keywords are lower case; expected " + quoted(lower));
}

NodePtr ExpressionParser::condition() {
  arithmetic_ = 0;
  return expression(kOr);
}

NodePtr ExpressionParser::key() {
  bool const optional = tokens_.eat("?");
  Token const &token = tokens_.now();
  bool const name = token.kind == Token::Kind::name || (token.kind == Token::Kind::word && !token.tilde);
  if (!name || is_keyword(token.text)) return tokens_.expected("a field to join by");
  if (tokens_.ahead(1).is_symbol("("))
    return tokens_.fail(token.at, "sequences are joined by fields only, not by functions");
  return field(optional);
}

}  // namespace imdsgate::eql
