#include "rules/parser.hpp"

#include <algorithm>
#include <optional>

#include "rules/excerpt.hpp"
#include "rules/lexer.hpp"

namespace imdsgate::eql {
namespace {

constexpr std::size_t kLongest = 256 * 1024;
constexpr int kDeepest = 200;

enum Binding { kOr = 1, kAnd, kCompare, kAdd, kMultiply, kUnary };

constexpr std::string_view kKeywords[] = {"and",      "any",  "by",    "false", "in",  "join",  "like",
                                          "maxspan",  "not",  "null",  "of",    "or",  "regex", "sample",
                                          "sequence", "true", "until", "where", "with"};

bool is_keyword(std::string_view word) {
  return std::find(std::begin(kKeywords), std::end(kKeywords), word) != std::end(kKeywords);
}

template <class Value>
NodePtr make(std::size_t at, Value value) {
  auto node = std::make_unique<Node>();
  node->at = at;
  node->is = std::move(value);
  return node;
}

std::string described(Token const &token) {
  switch (token.kind) {
    case Token::Kind::word: return quoted(token.text + (token.tilde ? "~" : ""));
    case Token::Kind::name: return "the field `" + token.text + "`";
    case Token::Kind::string: return "a string";
    case Token::Kind::number: return "the number " + token.text;
    case Token::Kind::symbol: return quoted(token.text);
    case Token::Kind::end: return "the end";
  }
  __builtin_unreachable();
}

struct Infix {
  Binding binding;
  std::variant<Logical::Operator, Comparison::Operator, Predicate::Operator, char> op;
  bool negated = false;
  int tokens = 1;
};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::variant<EventQuery, Failure> event_query() {
    EventQuery query;
    if (category(query.category)) {
      query.where = expression(kOr);
      finish();
    }
    if (failure_) return *failure_;
    return query;
  }

  std::variant<NodePtr, Failure> bare_expression() {
    NodePtr node = expression(kOr);
    finish();
    if (failure_) return *failure_;
    return node;
  }

 private:
  Token const &now() const { return tokens_[at_]; }
  Token const &ahead(std::size_t count) const { return tokens_[std::min(at_ + count, tokens_.size() - 1)]; }
  Token const &take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

  // Keeps the first problem: what follows it is guesswork. Always nullptr, for `return fail(…)`.
  NodePtr fail(std::size_t at, std::string text) {
    if (!failure_) failure_ = Failure{at, std::move(text)};
    return nullptr;
  }
  NodePtr expected(std::string_view what) {
    return fail(now().at, "expected " + std::string(what) + ", found " + described(now()));
  }
  bool eat(std::string_view symbol) {
    if (!now().is_symbol(symbol)) return false;
    take();
    return true;
  }

  bool category(std::string &name) {
    for (std::string_view const unsupported : {"sequence", "join", "sample"}) {
      if (!now().is_word(unsupported) || ahead(1).is_word("where")) continue;
      fail(now().at,
           std::string(unsupported) + " queries are not supported yet; expected CATEGORY where CONDITION");
      return false;
    }
    bool const plain =
        now().kind == Token::Kind::word && !now().tilde && (now().text == "any" || !is_keyword(now().text));
    if (!plain && now().kind != Token::Kind::string) {
      expected("an event category, such as process, or any");
      return false;
    }
    name = take().text;
    if (!now().is_word("where")) {
      expected("'where' after the event category");
      return false;
    }
    take();
    return true;
  }

  void finish() {
    if (failure_ || now().kind == Token::Kind::end) return;
    if (now().is_symbol("|")) {
      fail(now().at, "pipes (head, tail, …) are not supported yet");
    } else if (now().is_word("until") || now().is_word("with") || now().is_word("by")) {
      fail(now().at, quoted(now().text) + " belongs to sequences, which are not supported yet");
    } else if (now().is_symbol(",")) {
      fail(now().at, "a list stands after ':', like or in only");
    } else {
      expected("an operator, 'and', 'or' or the end");
    }
  }

  NodePtr expression(Binding least) {
    if (++depth_ > kDeepest) return fail(now().at, "nested too deeply; at most 200 levels");
    NodePtr left = prefix();
    int arithmetic = 0;
    while (left) {
      auto const infix = infix_operator();
      if (!infix || infix->binding < least || failure_) break;
      // A chain of + - leans to the left, one level of the tree each.
      if (infix->binding >= kAdd && ++arithmetic > kDeepest)
        return fail(now().at, "too many operators in a row");
      left = combine(std::move(left), *infix);
    }
    --depth_;
    return failure_ ? nullptr : std::move(left);
  }

  std::optional<Infix> infix_operator() {
    Token const &token = now();
    if (token.kind == Token::Kind::word) {
      if (token.is_word("and")) return Infix{kAnd, Logical::Operator::conjunction};
      if (token.is_word("or")) return Infix{kOr, Logical::Operator::disjunction};
      bool const negated = token.is_word("not");
      Token const &name = negated ? ahead(1) : token;
      if (name.kind != Token::Kind::word) return std::nullopt;
      int const tokens = negated ? 2 : 1;
      if (name.text == "in") return Infix{kCompare, Predicate::Operator::in, negated, tokens};
      if (name.text == "like") return Infix{kCompare, Predicate::Operator::like, negated, tokens};
      if (name.text == "regex") return Infix{kCompare, Predicate::Operator::regex, negated, tokens};
      return std::nullopt;
    }
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
    if (token.text == "=") fail(token.at, "'=' is no operator; expected '==' or ':'");
    if (token.text == "!:")
      fail(token.at, "'!:' is no operator; expected 'not' before the term and ':' here");
    if (token.text == "!") fail(token.at, "'!' is no operator; expected 'not' or '!='");
    return std::nullopt;
  }

  NodePtr combine(NodePtr left, Infix const &infix) {
    std::size_t const at = now().at;
    if (auto const *op = std::get_if<Logical::Operator>(&infix.op))
      return logical(std::move(left), *op, infix.binding);
    if (auto const *op = std::get_if<Predicate::Operator>(&infix.op))
      return predicate(std::move(left), *op, infix);
    take();
    NodePtr right = expression(Binding(infix.binding + 1));
    if (!right) return nullptr;
    if (auto const *op = std::get_if<char>(&infix.op)) {
      return make(at, Arithmetic{*op, std::move(left), std::move(right)});
    }
    auto node =
        make(at, Comparison{std::get<Comparison::Operator>(infix.op), std::move(left), std::move(right)});
    return unchained(std::move(node));
  }

  NodePtr unchained(NodePtr node) {
    auto const next = infix_operator();
    if (next && next->binding == kCompare) {
      return fail(now().at, "comparisons cannot be chained; expected 'and' or 'or' between them");
    }
    return node;
  }

  NodePtr logical(NodePtr left, Logical::Operator op, Binding binding) {
    Logical chain{op, {}};
    std::size_t const at = now().at;
    chain.operands.push_back(std::move(left));
    while (true) {
      take();
      NodePtr operand = expression(Binding(binding + 1));
      if (!operand) return nullptr;
      chain.operands.push_back(std::move(operand));
      auto const next = infix_operator();
      if (!next || next->binding != binding) break;
    }
    return make(at, std::move(chain));
  }

  NodePtr predicate(NodePtr left, Predicate::Operator op, Infix const &infix) {
    Predicate result{op, op == Predicate::Operator::colon, infix.negated, std::move(left), {}};
    std::size_t const at = now().at;
    for (int i = 0; i < infix.tokens; ++i) result.insensitive = take().tilde || result.insensitive;
    if (now().is_symbol("(")) {
      take();
      if (!arguments(result.right, "a value")) return nullptr;
      if (result.right.empty()) return fail(at, "the list is empty; expected at least one value");
    } else if (op == Predicate::Operator::in) {
      return expected("'(' and a list after 'in'");
    } else {
      NodePtr right = expression(kAdd);
      if (!right) return nullptr;
      result.right.push_back(std::move(right));
    }
    return unchained(make(at, std::move(result)));
  }

  // After the '(': expressions up to and with the ')'.
  bool arguments(std::vector<NodePtr> &into, std::string_view what) {
    if (eat(")")) return true;
    while (true) {
      if (now().is_symbol(",") || now().is_symbol(")")) {
        expected(what);
        return false;
      }
      NodePtr argument = expression(kOr);
      if (!argument) return false;
      into.push_back(std::move(argument));
      if (eat(")")) return true;
      if (!eat(",")) {
        expected("',' or ')'");
        return false;
      }
    }
  }

  NodePtr prefix() {
    Token const &token = now();
    std::size_t const at = token.at;
    switch (token.kind) {
      case Token::Kind::string: return make(at, std::string(take().text));
      case Token::Kind::number: return make(at, take().number);
      case Token::Kind::name: return field(false);
      case Token::Kind::word: return word();
      case Token::Kind::symbol: break;
      case Token::Kind::end: return expected("a condition");
    }
    if (eat("(")) return parenthesised();
    if (token.is_symbol("?")) {
      take();
      if (now().kind == Token::Kind::word || now().kind == Token::Kind::name) return field(true);
      return expected("a field name after '?'");
    }
    if (token.is_symbol("-") || token.is_symbol("+")) return sign();
    if (token.is_symbol("!")) return fail(at, "'!' is no operator; expected 'not'");
    return expected("a field, a value, 'not' or '('");
  }

  NodePtr parenthesised() {
    NodePtr inner = expression(kOr);
    if (!inner) return nullptr;
    if (now().is_symbol(",")) return fail(now().at, "a list stands after ':', like or in only; expected ')'");
    if (!eat(")")) return expected("')'");
    return inner;
  }

  NodePtr sign() {
    Token const &token = take();
    bool const minus = token.text == "-";
    std::size_t const at = token.at;
    NodePtr operand = expression(kUnary);
    if (!operand || !minus) return operand;
    if (auto *number = std::get_if<Number>(&operand->is)) {
      number->integer = -number->integer;
      number->real = -number->real;
      operand->at = at;
      return operand;
    }
    return make(at, Negative{std::move(operand)});
  }

  NodePtr word() {
    Token const &token = now();
    std::size_t const at = token.at;
    if (token.is_word("not")) {
      take();
      NodePtr operand = expression(kCompare);
      return operand ? make(at, Not{std::move(operand)}) : nullptr;
    }
    if (token.is_word("true") || token.is_word("false")) return make(at, take().text == "true");
    if (token.is_word("null")) {
      take();
      return make(at, Null{});
    }
    if (ahead(1).is_word("of")) {
      return fail(at, "lineage (child of, descendant of, event of) is not supported");
    }
    if (ahead(1).is_symbol("(") && !is_keyword(token.text)) return call();
    if (token.tilde) return fail(at, "expected a field, found " + described(token));
    if (is_keyword(token.text)) return expected("a field, a value, 'not' or '('");
    return field(false);
  }

  NodePtr call() {
    Token const &name = take();
    Call result{name.text, name.tilde, {}};
    std::size_t const at = name.at;
    take();
    if (!arguments(result.arguments, "an argument")) return nullptr;
    return make(at, std::move(result));
  }

  // a.b.`c d`; behind a dot a keyword is a name like any other (event.sequence).
  NodePtr field(bool optional) {
    std::size_t const at = now().at;
    if (now().kind == Token::Kind::word && is_keyword(now().text)) return expected("a field name");
    FieldName name{take().text, optional};
    while (eat(".")) {
      if ((now().kind != Token::Kind::word || now().tilde) && now().kind != Token::Kind::name) {
        return expected("a field name after '.'");
      }
      name.name += '.' + take().text;
    }
    if (now().is_symbol("["))
      return fail(now().at, "array positions are not supported; a term fits when any element does");
    Token const &next = now();
    if (next.kind == Token::Kind::word && !is_keyword(next.text)) {
      std::string lower = next.text;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return char(std::tolower(c)); });
      if (is_keyword(lower)) return fail(next.at, "keywords are lower case; expected " + quoted(lower));
    }
    return make(at, std::move(name));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::optional<Failure> failure_;
};

template <class Result>
Result parse(std::string_view text, Result (Parser::*rule)()) {
  if (text.size() > kLongest) return Failure{kLongest, "longer than 256 KiB"};
  auto tokens = tokenize(text);
  if (auto *failure = std::get_if<Failure>(&tokens)) return std::move(*failure);
  Parser parser(std::move(std::get<std::vector<Token>>(tokens)));
  return (parser.*rule)();
}

}  // namespace

std::variant<EventQuery, Failure> parse_event_query(std::string_view text) {
  return parse(text, &Parser::event_query);
}

std::variant<NodePtr, Failure> parse_expression(std::string_view text) {
  return parse(text, &Parser::bare_expression);
}

}  // namespace imdsgate::eql
