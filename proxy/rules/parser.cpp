#include "rules/parser.hpp"

#include <algorithm>

#include "rules/excerpt.hpp"
#include "rules/expression_parser.hpp"
#include "rules/token_cursor.hpp"

namespace imdsgate::eql {
namespace {

constexpr std::size_t kLongest = 256 * 1024;
constexpr std::size_t kMostStages = 256;
constexpr std::int64_t kMostRuns = 100;  // as in Elasticsearch

class QueryParser {
 public:
  explicit QueryParser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  // What a failure leaves behind is not looked at.
  EventQuery event_query() {
    EventQuery query = event();
    finish("an operator, 'and', 'or' or the end");
    return query;
  }

  NodePtr bare_expression() {
    NodePtr node = expressions_.condition();
    finish("an operator, 'and', 'or' or the end");
    return node;
  }

  bool at_sequence() const { return tokens_.now().is_word("sequence") && !tokens_.ahead(1).is_word("where"); }
  SequenceQuery sequence();

  std::optional<Failure> const &failure() const { return tokens_.failure(); }

 private:
  bool ok() const { return !tokens_.failure(); }

  EventQuery event();
  bool category(std::optional<std::string> &name);
  void finish(std::string_view wanted);
  StageText stage();
  void keys(std::vector<NodePtr> &into);
  void maxspan(SequenceQuery &query);
  std::optional<std::int64_t> duration();
  int runs();
  void check(SequenceQuery const &query, std::size_t at);
  void check_keys(SequenceQuery const &query, StageText const &stage);

  TokenCursor tokens_;
  ExpressionParser expressions_;
};

EventQuery QueryParser::event() {
  EventQuery query;
  if (category(query.category)) query.where = expressions_.condition();
  return query;
}

bool QueryParser::category(std::optional<std::string> &name) {
  Token const &token = tokens_.now();
  for (std::string_view const unsupported : {"sequence", "join", "sample"}) {
    if (!token.is_word(unsupported) || tokens_.ahead(1).is_word("where")) continue;
    std::string const what = unsupported == "sequence"
                                 ? "a sequence does not stand here"
                                 : std::string(unsupported) + " queries are not supported";
    tokens_.fail(token.at, what + "; expected CATEGORY where CONDITION");
    return false;
  }
  bool const plain =
      token.kind == Token::Kind::word && !token.tilde && (token.text == "any" || !is_keyword(token.text));
  if (!plain && token.kind != Token::Kind::string) {
    tokens_.expected("an event category, such as process, or any");
    return false;
  }
  if (!token.is_word("any")) name = token.text;
  tokens_.take();
  if (!tokens_.now().is_word("where")) {
    tokens_.expected("'where' after the event category");
    return false;
  }
  tokens_.take();
  return true;
}

void QueryParser::finish(std::string_view wanted) {
  Token const &token = tokens_.now();
  if (!ok() || token.kind == Token::Kind::end) return;
  if (token.is_symbol("|")) {
    tokens_.fail(token.at, "pipes (head, tail, …) are not supported: a rule sees every match");
  } else if (token.is_word("until") || token.is_word("with") || token.is_word("by")) {
    tokens_.fail(token.at, quoted(token.text) + " belongs to a sequence; expected " + std::string(wanted));
  } else if (token.is_symbol(",")) {
    tokens_.fail(token.at, "a list stands after ':', like or in only");
  } else {
    tokens_.expected(wanted);
  }
}

SequenceQuery QueryParser::sequence() {
  SequenceQuery query;
  std::size_t const at = tokens_.take().at;
  keys(query.keys);
  maxspan(query);
  while (ok() && (tokens_.now().is_symbol("[") || query.stages.empty())) query.stages.push_back(stage());
  if (ok() && tokens_.now().is_word("until")) {
    tokens_.take();
    query.until = stage();
    if (ok() && query.until->runs > 1) tokens_.fail(query.until->at, "'until' takes no runs");
  }
  if (ok() && tokens_.now().is_word("with")) {
    tokens_.fail(tokens_.now().at, "'with maxspan=…' stands behind 'sequence' and its 'by'");
  }
  finish(query.until ? "the end" : "'[', 'until' or the end");
  if (ok()) check(query, at);
  return query;
}

// [CATEGORY where EXPR] by … with runs=N
StageText QueryParser::stage() {
  StageText stage;
  Token const &open = tokens_.now();
  stage.at = open.at;
  if (open.is_symbol("!") && tokens_.ahead(1).is_symbol("[")) {
    tokens_.fail(open.at, "missing events (![…]) are not supported");
  } else if (!tokens_.eat("[")) {
    tokens_.expected("'[' and an event query");
  }
  if (!ok()) return stage;
  stage.query = event();
  if (!ok()) return stage;
  if (!tokens_.now().is_symbol("]")) finish("an operator, 'and', 'or' or ']'");
  if (ok() && !tokens_.eat("]")) tokens_.expected("an operator, 'and', 'or' or ']'");
  if (!ok()) return stage;
  keys(stage.keys);
  if (ok() && tokens_.now().is_word("with") && !tokens_.ahead(1).is_word("maxspan")) stage.runs = runs();
  if (tokens_.now().is_symbol("!") && tokens_.ahead(1).is_symbol("[")) {
    tokens_.fail(tokens_.now().at, "missing events (![…]) are not supported");
  }
  return stage;
}

// by a, ?b
void QueryParser::keys(std::vector<NodePtr> &into) {
  if (!ok() || !tokens_.now().is_word("by")) return;
  tokens_.take();
  do {
    NodePtr key = expressions_.key();
    if (!key) return;
    into.push_back(std::move(key));
  } while (tokens_.eat(","));
}

// with maxspan=1s
void QueryParser::maxspan(SequenceQuery &query) {
  if (!ok() || !tokens_.now().is_word("with")) return;
  tokens_.take();
  if (!tokens_.now().is_word("maxspan")) {
    tokens_.expected("'maxspan' after 'with'");
    return;
  }
  tokens_.take();
  if (!tokens_.eat("=")) {
    tokens_.expected("'=' after 'maxspan'");
    return;
  }
  query.maxspan = duration();
  if (ok() && tokens_.now().is_word("by")) {
    tokens_.fail(tokens_.now().at, "'by' stands before 'with maxspan=…'");
  }
}

std::optional<std::int64_t> QueryParser::duration() {
  struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
  };
  constexpr Unit kUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  constexpr std::string_view kWanted = "a duration: a whole number and ms, s, m, h or d";
  Token const &number = tokens_.now();
  Token const &unit = tokens_.ahead(1);
  if (number.kind != Token::Kind::number || !number.number.integral) {
    tokens_.expected(kWanted);
    return std::nullopt;
  }
  auto const *const known = std::find_if(std::begin(kUnits), std::end(kUnits),
                                         [&](Unit const &one) { return unit.is_word(one.name); });
  if (known == std::end(kUnits) || unit.at != number.end) {
    tokens_.fail(number.end, "expected the duration's unit, one of ms, s, m, h and d");
    return std::nullopt;
  }
  std::int64_t milliseconds = 0;
  if (number.number.integer == 0) {
    tokens_.fail(number.at, "a maxspan is longer than nothing");
  } else if (__builtin_mul_overflow(number.number.integer, known->milliseconds, &milliseconds)) {
    tokens_.fail(number.at, "this duration is too long");
  }
  tokens_.take();
  tokens_.take();
  return milliseconds;
}

// with runs=3
int QueryParser::runs() {
  tokens_.take();
  if (!tokens_.now().is_word("runs")) {
    tokens_.expected("'runs' after 'with'");
    return 1;
  }
  tokens_.take();
  if (!tokens_.eat("=")) {
    tokens_.expected("'=' after 'runs'");
    return 1;
  }
  Token const &count = tokens_.now();
  bool const whole = count.kind == Token::Kind::number && count.number.integral;
  if (!whole || count.number.integer < 1 || count.number.integer > kMostRuns) {
    tokens_.expected("a number of runs from 1 to 100");
    return 1;
  }
  tokens_.take();
  return static_cast<int>(count.number.integer);
}

void QueryParser::check(SequenceQuery const &query, std::size_t at) {
  std::size_t stages = 0;
  for (StageText const &stage : query.stages) stages += static_cast<std::size_t>(stage.runs);
  if (stages < 2) tokens_.fail(at, "a sequence is of two events or more");
  if (stages > kMostStages) tokens_.fail(at, "a sequence is of 256 events at most");
  for (StageText const &stage : query.stages) check_keys(query, stage);
  if (query.until) check_keys(query, *query.until);
}

void QueryParser::check_keys(SequenceQuery const &query, StageText const &stage) {
  std::size_t const wanted = query.stages.front().keys.size();
  if (stage.keys.size() == wanted) return;
  tokens_.fail(stage.keys.empty() ? stage.at : stage.keys.front()->at,
               "joined by " + std::to_string(query.keys.size() + stage.keys.size()) + " here and by " +
                   std::to_string(query.keys.size() + wanted) + " in the first event");
}

template <class Result, class Read>
Result parse(std::string_view text, Read read) {
  if (text.size() > kLongest) return Failure{kLongest, "longer than 256 KiB"};
  auto tokens = tokenize(text);
  if (auto *failure = std::get_if<Failure>(&tokens)) return std::move(*failure);
  QueryParser parser(std::move(std::get<std::vector<Token>>(tokens)));
  Result result = read(parser);
  if (parser.failure()) return *parser.failure();
  return result;
}

}  // namespace

std::variant<EventQuery, Failure> parse_event_query(std::string_view text) {
  using Result = std::variant<EventQuery, Failure>;
  return parse<Result>(text, [](QueryParser &parser) -> Result { return parser.event_query(); });
}

std::variant<EventQuery, SequenceQuery, Failure> parse_query(std::string_view text) {
  using Result = std::variant<EventQuery, SequenceQuery, Failure>;
  return parse<Result>(text, [](QueryParser &parser) -> Result {
    if (parser.at_sequence()) return parser.sequence();
    return parser.event_query();
  });
}

std::variant<NodePtr, Failure> parse_expression(std::string_view text) {
  using Result = std::variant<NodePtr, Failure>;
  return parse<Result>(text, [](QueryParser &parser) -> Result { return parser.bare_expression(); });
}

}  // namespace imdsgate::eql
