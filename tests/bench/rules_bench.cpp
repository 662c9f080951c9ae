// What the rules cost an event. Prints nanoseconds of processor time and allocations an event, and the most
// pending matches there were.
//   rules_bench [EVENTS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <new>
#include <random>
#include <sstream>

#include "rules/engine.hpp"
#include "rules/matcher.hpp"

namespace {
std::uint64_t allocations = 0;
}

void *operator new(std::size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept {
  std::free(memory);
}
void operator delete(void *memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace imdsgate;
using namespace imdsgate::eql;

using Random = std::mt19937;

template <class List>
auto const &one_of(List const &list, Random &random) {
  return list[std::uniform_int_distribution<std::size_t>(0, list.size() - 1)(random)];
}
std::string number(Random &random, int below) {
  return std::to_string(std::uniform_int_distribution<int>(0, below - 1)(random));
}

std::vector<std::string> const kNames = {"bash",      "sh",   "cat",  "grep",          "sed",  "ls",
                                         "systemctl", "cron", "sshd", "sudo",          "dpkg", "apt-get",
                                         "python3",   "perl", "curl", "git",           "make", "gcc",
                                         "docker",    "node", "java", "node_exporter", "find", "id"};
std::vector<std::string> const kFolders = {"/usr/bin/",     "/usr/sbin/",        "/bin/", "/usr/local/bin/",
                                           "/opt/app/bin/", "/usr/lib/systemd/", "/tmp/", "/home/user/"};

Event process_event(Random &random) {
  Event event;
  std::string const name = one_of(kNames, random), parent = one_of(kNames, random);
  event.category = "process";
  event.set("event.kind", "event");
  event.set("event.category", "process");
  event.set("event.type", "start");
  event.set("event.action", number(random, 3) == "0" ? "fork" : "exec");
  event.set("host.id", "2f3a1c77d0c44f9b8a5e6d7c8b9a0f1e");
  event.set("host.os.type", "linux");
  event.set("process.pid", number(random, 40000));
  event.set("process.entity_id", "entity-" + number(random, 100000));
  event.set("process.name", name);
  event.set("process.executable", one_of(kFolders, random) + name);
  event.set("process.command_line",
            name + " --config /etc/" + name + "/" + number(random, 1000) + ".conf --verbose");
  event.set("process.args", Values{{name, "--config", "/etc/" + name + ".conf", "--verbose"}, {}, false});
  event.set("process.working_directory", "/var/lib/" + name);
  event.set("process.parent.pid", number(random, 40000));
  event.set("process.parent.entity_id", "entity-" + number(random, 2000));
  event.set("process.parent.name", parent);
  event.set("process.parent.executable", one_of(kFolders, random) + parent);
  event.set("process.parent.command_line", parent + " -c something");
  event.set("user.id", number(random, 1100));
  event.set("user.name", "user" + number(random, 50));
  event.set("process.real_user.id", number(random, 1100));
  event.set("group.id", number(random, 1100));
  event.set("group.name", "group" + number(random, 50));
  event.set("container.id", "c" + number(random, 100));
  return event;
}

Event network_event(Random &random) {
  Event event = process_event(random);
  event.category = "network";
  event.set("event.action", "connection_attempted");
  event.set("destination.ip", number(random, 5) == "0" ? "169.254.169.254" : "10.0.0." + number(random, 250));
  event.set("destination.port", "80");
  return event;
}

std::shared_ptr<Rule const> compiled(std::string const &query) {
  auto result = compile_rule_query(query, {"bench", 1, 1, 0, {}});
  if (auto const *problem = std::get_if<Problem>(&result)) {
    std::fprintf(stderr, "%s\n", problem->to_string().c_str());
    std::exit(1);
  }
  auto rule = std::make_shared<Rule>();
  rule->query = std::get<RuleQuery>(std::move(result));
  return rule;
}

// The shipped rule's criteria, in the form of the published one: an exec, then a connection under the same
// parent.
std::shared_ptr<Rule const> shipped(bool as_sequence) {
  std::ifstream file(SOURCE_DIR "/config/rules/unusual-imds-request.yaml");
  std::ostringstream text;
  text << file.rdbuf();
  auto const loaded = load_rule(text.str(), "shipped");
  if (!loaded.rule || !as_sequence || std::holds_alternative<Sequence>(loaded.rule->query))
    return loaded.rule;
  return compiled(
      "sequence by host.id, process.parent.entity_id with maxspan=1s [" + loaded.rule->query_text +
      "] [network where host.os.type == \"linux\" and event.action == \"connection_attempted\" and "
      "destination.ip in (\"169.254.169.254\", \"fd00:ec2::254\")]");
}

std::string list(Random &random, std::vector<std::string> const &from, std::string const &before,
                 std::string const &behind, int count) {
  std::string text = "(";
  for (int i = 0; i < count; ++i) {
    std::string const rare =
        number(random, 10) == "0" ? "" : number(random, 30);  // most of what is listed is not seen
    text += (i > 0 ? ", \"" : "\"") + before + one_of(from, random) + rare + behind + '"';
  }
  return text + ')';
}

// As detection rules are written: a common beginning, then lists that differ from rule to rule.
std::shared_ptr<Rule const> generated(int index, Random &random) {
  std::string const begin =
      "host.os.type == \"linux\" and event.type == \"start\" and event.action == \"exec\" and ";
  std::string criteria;
  switch (index % 5) {
    case 0: criteria = "process.name : " + list(random, kNames, "", "", 8); break;
    case 1: criteria = "process.executable : " + list(random, kNames, "/tmp/", "*", 6); break;
    case 2:
      criteria = "process.args : " + list(random, kNames, "--", "", 4) +
                 " and process.name : " + list(random, kNames, "", "*", 4);
      break;
    case 3: criteria = "process.command_line : " + list(random, kNames, "*", "*", 2); break;
    default:
      criteria = "process.parent.name : " + list(random, kNames, "", "", 5) +
                 " and process.name : (\"bash\", \"sh\", \"dash\")";
      break;
  }
  std::string const condition =
      begin + criteria + " and not process.parent.executable : " + list(random, kNames, "/opt/", "/*", 5);
  if (index % 10 == 9) {
    return compiled("sequence by host.id, process.parent.entity_id with maxspan=5s [process where " +
                    condition + "] [network where destination.ip : \"10." + number(random, 250) + ".*\"]");
  }
  if (index % 10 == 4)
    return compiled("network where event.action == \"connection_attempted\" and process.name : " +
                    list(random, kNames, "", "", 8));
  return compiled("process where " + condition);
}

struct Load {
  std::vector<Event> events;
  explicit Load(std::size_t distinct, int networks_in_ten) {
    Random random(7);
    for (std::size_t i = 0; i < distinct; ++i) {
      events.push_back(std::uniform_int_distribution<int>(0, 9)(random) < networks_in_ten
                           ? network_event(random)
                           : process_event(random));
    }
  }
};

// Processor time: a busy machine does not show.
std::int64_t nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void report(char const *what, std::int64_t time, std::size_t events, std::uint64_t allocated,
            std::string const &more) {
  std::printf("%-52s %8.0f ns an event, %6.3f allocations%s\n", what,
              static_cast<double>(time) / static_cast<double>(events),
              static_cast<double>(allocated) / static_cast<double>(events), more.c_str());
}

enum class Rows { ready, filled };

void feed(char const *what, std::vector<std::shared_ptr<Rule const>> rules, Load const &load,
          std::size_t events, Rows how) {
  Engine engine(std::move(rules), {});
  std::vector<Row> rows;
  for (Event const &event : load.events) rows.emplace_back(engine.fields(), event);
  Row row(engine.fields());
  std::vector<Engine::Match> matches;
  matches.reserve(1024);
  std::uint64_t most = 0, found = 0, allocated = 0;
  std::int64_t start = 0;
  std::size_t const warm = load.events.size();  // until memory has its size
  for (std::size_t i = 0; i < events + warm; ++i) {
    if (i == warm) {
      start = nanoseconds();
      allocated = allocations;
    }
    std::size_t const which = i % load.events.size();
    if (how == Rows::filled) row.assign(engine.fields(), load.events[which]);
    engine.feed(how == Rows::filled ? row : rows[which], {static_cast<std::int64_t>(i / 10), i}, matches);
    found += matches.size();
    matches.clear();
    if (i % 64 == 0) most = std::max(most, engine.counters().pending);
  }
  auto const time = nanoseconds() - start;
  report(what, time, events, allocations - allocated,
         ", " + std::to_string(found) + " matches, at most " + std::to_string(most) + " pending");
}

void match_one(char const *what, Query const &query, Load const &load, std::size_t events) {
  std::size_t found = 0;
  for (Event const &event : load.events) found += matches(query, event, View::by_polarity) ? 1 : 0;
  std::uint64_t const allocated = allocations;
  auto const start = nanoseconds();
  for (std::size_t i = 0; i < events; ++i) {
    found += matches(query, load.events[i % load.events.size()], View::by_polarity) ? 1 : 0;
  }
  report(what, nanoseconds() - start, events, allocations - allocated,
         ", " + std::to_string(found) + " matches");
}

}  // namespace

int main(int argc, char **argv) {
  std::size_t const events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  Load const processes(2000, 0), mixed(2000, 3);
  auto const rule = shipped(false);
  if (auto const *query = std::get_if<Query>(&rule->query)) {
    match_one("shipped rule, matches(), exec events", *query, processes, events);
  }
  feed("shipped rule, as it is, exec events", {rule}, processes, events, Rows::ready);
  feed("shipped criteria as a sequence, 3 of 10 connections", {shipped(true)}, mixed, events, Rows::ready);
  feed("the same, rows filled from events", {shipped(true)}, mixed, events, Rows::filled);
  Random random(11);
  std::vector<std::shared_ptr<Rule const>> rules;
  for (int i = 0; i < 200; ++i) rules.push_back(generated(i, random));
  feed("200 rules, exec events", rules, processes, events / 10, Rows::ready);
  feed("200 rules, 3 of 10 connections", rules, mixed, events / 10, Rows::ready);
}
