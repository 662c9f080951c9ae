// What replay reads: any bytes as the lines of a recording. Holds: no crash and no hang; the events are told
// in order; what is an event is one however it stands in the file, and its alert is one line of strict JSON.
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <cstdint>
#include <cstdlib>

#include "replay/playback.hpp"
#include "replay/spill.hpp"
#include "report/ecs_recorded.hpp"
#include "rules/load_rules.hpp"

namespace {

using namespace imdsgate;

constexpr char const *kRules[] = {
    "id: a\nname: A\nquery: 'sequence by host.id, ?user.id with maxspan=1s [process where process.name : "
    "\"c*\"] [any where "
    "destination.ip == \"169.254.169.254\"] until [any where event.action == \"end\"]'\n",
    "id: b\nname: B\nquery: 'any where event.category != null or a.b > 1 or a == true'\n",
};

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::shared_ptr<Rule const>> rules() {
  std::vector<std::shared_ptr<Rule const>> all;
  for (auto const *text : kRules) {
    auto loaded = load_rules(text, "fuzz.yaml");
    require(loaded.ok());
    all.push_back(loaded.rules.front());
  }
  return all;
}

// Set up once: making a file for each input would be most of the time.
struct Bench {
  std::vector<std::shared_ptr<Rule const>> all = rules();
  File file = std::move(unnamed_file().value());
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const *data, std::size_t size) {
  static Bench bench;
  int const descriptor = ::fileno(bench.file.get());
  require(::ftruncate(descriptor, 0) == 0);
  require(::pwrite(descriptor, data, size, 0) == static_cast<ssize_t>(size));

  auto engine = std::make_unique<eql::Engine>(bench.all, eql::Engine::Options{});
  LineReader lines(descriptor);
  std::vector<eql::Engine::Match> matches;
  std::int64_t latest = std::numeric_limits<std::int64_t>::min();
  std::uint64_t line = 0;
  PlaybackListener listener;
  listener.start_over = [&] {
    engine = std::make_unique<eql::Engine>(bench.all, eql::Engine::Options{});
    latest = std::numeric_limits<std::int64_t>::min();
  };
  listener.malformed = [](std::uint64_t, std::string_view why) { require(!why.empty()); };
  listener.event = [&](RecordedEvent const &event) {
    require(event.milliseconds > latest || (event.milliseconds == latest && event.line > line));
    latest = event.milliseconds;
    line = event.line;
    matches.clear();
    engine->feed(event.fields, {event.milliseconds, event.line}, matches);
    for (auto const &match : matches) {
      require(match.events.back() == event.line);
      auto const alert =
          RecordedAlert(event.text).to_ecs(*bench.all[match.rule], match.events, event.milliseconds);
      boost::json::error_code code;
      boost::json::parse_options options;
      options.max_depth = 2 * EventReader::kDeepest;
      require(boost::json::parse(alert, code, {}, options).is_object() && !code);
      require(alert.find('\n') == alert.npos);
    }
  };
  require(Playback(lines, engine->fields()).run(listener).has_value());
  return 0;
}
