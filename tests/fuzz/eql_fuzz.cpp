// Any bytes are a query or an error with a place in the text; a query decides any event, the same way each
// time.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rules/engine.hpp"

namespace {

using namespace imdsgate;
using namespace imdsgate::eql;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(Problem const &problem, std::string_view text) {
  require(!problem.text.empty());
  require(problem.line >= 1 && problem.line <= 1 + std::count(text.begin(), text.end(), '\n'));
  require(problem.column >= 1 && static_cast<std::size_t>(problem.column) <= text.size() + 1);
}

Event event_of(std::string_view category, std::uint64_t seed) {
  static constexpr std::string_view kFields[] = {
      "a", "b", "n", "k", "a.b", "process.name", "source.ip", "destination.ip"};
  static constexpr std::string_view kValues[] = {"",
                                                 "x",
                                                 "curl",
                                                 "5",
                                                 "-7",
                                                 "1.5",
                                                 "true",
                                                 "0xff",
                                                 "\xC3",
                                                 "10.0.0.1",
                                                 "::1",
                                                 "é€x",
                                                 "a\nb",
                                                 "CURL",
                                                 "9223372036854775807",
                                                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  Event event;
  event.category = category;
  for (std::string_view const field : kFields) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    std::string const value(kValues[(seed >> 33) % std::size(kValues)]),
        other(kValues[(seed >> 40) % std::size(kValues)]);
    switch ((seed >> 50) % 5) {
      case 0: break;
      case 1: event.set(field, value); break;
      case 2: event.set(field, Values{{value, other}, {other}, false}); break;
      case 3: event.set(field, Values{{value}, {}, true}); break;
      default: event.set_unreadable(field); break;
    }
  }
  return event;
}

void decide(RuleQuery const &query) {
  auto rule = std::make_shared<Rule>();
  rule->query = query;
  Engine engine({rule, rule}, {.pending = 4});
  std::vector<Engine::Match> found;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Event const process = event_of("process", i), network = event_of("network", i + 100);
    Row const exec(engine.fields(), process), connection(engine.fields(), network);
    auto const before = found.size();
    engine.feed(exec, {static_cast<std::int64_t>(i * 400), i}, found);
    if (auto const *one = std::get_if<Query>(&query)) {
      require(found.size() - before == (eql::matches(*one, process, View::by_polarity) ? 2u : 0u));
    }
    engine.present(exec, 50 + i, connection, {static_cast<std::int64_t>(i * 400), 100 + i}, found);
  }
  require(engine.counters().pending <= 2 * 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const *data, std::size_t size) {
  if (size > 4096) return 0;
  std::string_view const text(reinterpret_cast<char const *>(data), size);
  auto const rule = compile_rule_query(text, {});
  if (auto const *problem = std::get_if<Problem>(&rule)) {
    check(*problem, text);
  } else {
    decide(std::get<RuleQuery>(rule));
    for (auto const &field : query_fields(std::get<RuleQuery>(rule))) require(field.place.line >= 1);
  }
  auto const expression = compile_expression(text, {});
  if (auto const *problem = std::get_if<Problem>(&expression)) {
    check(*problem, text);
  } else {
    for (View const view : {View::by_polarity, View::proven, View::denial}) {
      for (std::uint64_t i = 0; i < 4; ++i)
        matches(std::get<Query>(expression), event_of("process", i), view);
    }
  }
  return 0;
}
