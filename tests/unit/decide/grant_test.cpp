// A grant holds by what is proven and by nothing else: over random requesters, entries and requests, decide()
// grants exactly what a second reading of the entries over the proven facts alone grants.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "unit/decide/people.hpp"

namespace imdsgate {
namespace {

constexpr auto kAgent = "/usr/bin/agent";

// What the kernel vouches for.
std::optional<std::string> proven_path(Process const &process) {
  bool const proven = process.executable && !process.executable->unproven && process.tracer_pid == 0;
  return proven ? std::optional(process.executable->path) : std::nullopt;
}

struct Known {
  std::string when;
  std::function<bool(Process const &)> holds;
};

std::vector<Known> const kKnown = {
    {"", [](Process const &) { return true; }},
    {R"(process.executable == "/usr/bin/agent" and user.id == "0")",
     [](Process const &process) { return proven_path(process) == kAgent && process.effective_uid == 0; }},
    {R"(process.name == "curl")",
     [](Process const &process) {
       auto const path = proven_path(process);
       return path && path->substr(path->rfind('/') + 1) == "curl";
     }},
    {R"(not process.executable == "/usr/bin/agent")",
     [](Process const &process) { return proven_path(process).value_or(kAgent) != kAgent; }},
    {R"(process.executable : "/usr/bin/*" and process.real_user.id == "1000")",
     [](Process const &process) {
       return proven_path(process).value_or("").starts_with("/usr/bin/") && process.real_uid == 1000;
     }},
    {R"(container.id == "c1")",
     [](Process const &process) { return process.container_id == "c1" && process.container_proven; }},
    {R"(container.id == null)",
     [](Process const &process) { return !process.container_id && !process.cgroup.empty(); }},
    {R"(process.command_line : "*agent*" or process.args == "agent")", [](Process const &) { return false; }},
    {R"(not process.command_line : "*agent*")", [](Process const &) { return false; }},
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most - 1)(engine_);
  }
  bool once_in(std::size_t times) { return below(times) == 0; }
  template <class T>
  T const &pick(std::vector<T> const &from) {
    return from[below(from.size())];
  }

 private:
  std::mt19937 engine_;
};

Process some_process(Random &random) {
  static std::vector<std::string> const kPaths = {kAgent, "/usr/bin/curl", "/tmp/curl",
                                                  "/usr/bin/python3.11"};
  static std::vector<std::string> const kNames = {"agent", "curl", "x"};  // no path
  static std::vector<std::optional<Unproven>> const kDoubts = {
      std::nullopt,           std::nullopt,         std::nullopt,
      Unproven::exe_replaced, Unproven::other_file, Unproven::other_namespace,
      Unproven::traced,       Unproven::exe_changed, Unproven::unreadable};
  static std::vector<uid_t> const kUsers = {0, 0, 1000};
  Process made = process(random.pick(kPaths), random.pick(kNames), 0);
  made.real_uid = random.pick(kUsers);
  made.effective_uid = random.pick(kUsers);
  made.executable->unproven = random.pick(kDoubts);
  if (random.once_in(8)) made.executable.reset();
  if (random.once_in(6)) made.tracer_pid = 99;
  if (random.once_in(6)) made.args.clear();
  if (random.once_in(6)) made.cgroup.clear();
  made.comm = random.pick(kNames).substr(0, 15);
  if (random.once_in(3)) {
    made.container_id = random.once_in(2) ? "c1" : "c2";
    made.container_proven = random.once_in(2);
  }
  return made;
}

struct Entry {
  PolicyEntry entry;
  Known const *known;
};

Entry some_entry(Random &random, std::size_t number) {
  static auto const compiled = [] {
    std::vector<PolicyEntry> all;
    for (auto const &known : kKnown) all.push_back(entry("", known.when));
    return all;
  }();
  static std::vector<std::vector<std::string>> const kMethods = {{}, {}, {"GET"}, {"GET", "PUT"}, {"PUT"}};
  static std::vector<std::vector<std::string>> const kPaths = {
      {}, {"/**"}, {"/latest/user-data"}, {"/latest/meta-data/iam/security-credentials/**"}};
  auto const which = random.below(kKnown.size());
  Entry made{compiled[which], &kKnown[which]};
  made.entry.name = "entry-" + std::to_string(number);
  made.entry.methods = random.pick(kMethods);
  made.entry.paths = random.pick(kPaths);
  return made;
}

bool names(PolicyEntry const &entry, std::string const &method, std::string const &path) {
  auto const lists = [](std::vector<std::string> const &all, std::string const &one) {
    return all.empty() || std::ranges::find(all, one) != all.end();
  };
  auto const under = [&](std::string const &pattern) {
    auto const stem = pattern.substr(0, pattern.find("/**"));
    return pattern == path || (pattern.ends_with("/**") && (path == stem || path.starts_with(stem + '/')));
  };
  return lists(entry.methods, method) && (entry.paths.empty() || std::ranges::any_of(entry.paths, under));
}

TEST(Grant, IsWhatTheProvenFactsGrant) {
  static std::vector<std::string> const kTargets = {"/latest/user-data",
                                                    "//latest//user-data/",
                                                    "/latest/user-dataX",
                                                    "/latest/%75ser-data",
                                                    "/latest/meta-data/iam/security-credentials/role",
                                                    "/LATEST/user-data",
                                                    "/"};
  static std::vector<std::string> const kMethods = {"GET", "PUT", "get"};
  static std::vector<std::string> const kDoubts = {"agent", "agent", "agent", "agent", "doubted", "nobody"};
  Random random(20260404);
  std::size_t granted = 0;
  for (int round = 0; round < 30000; ++round) {
    Case asked(random.pick(kDoubts), random.pick(kMethods), random.pick(kTargets), "v2");
    std::vector<Process> holders;
    for (auto left = 1 + random.below(2); left > 0; --left) holders.push_back(some_process(random));
    if (asked.attribution) {
      asked.attribution->holders.clear();
      for (auto const &holder : holders) {
        asked.attribution->holders.push_back(
            std::make_shared<Lineage const>(Lineage{holder, std::nullopt, {}}));
      }
    }
    PolicyChoices choices;
    std::optional<std::string> expected;
    for (std::size_t number = random.below(4); number > 0; --number) {
      auto const made = some_entry(random, number);
      choices.allow.push_back(made.entry);
      bool const applies = asked.attribution && !asked.unattributed && !asked.request.ambiguous &&
                           names(made.entry, asked.request.method, asked.request.path) &&
                           std::ranges::all_of(holders, made.known->holds);
      if (applies && !expected) expected = made.entry.name;
    }
    auto const decision = asked.decided(*build_policies(choices).enforce);
    ASSERT_EQ(decision.grant, expected) << asked.request.method << ' ' << asked.request.target
                                        << (choices.allow.empty() ? "" : choices.allow.front().when_text);
    granted += decision.grant ? 1 : 0;
  }
  EXPECT_GE(granted, 1000u);
}

// Whatever a process says of itself (arguments, comm, argv[0]) makes no grant that was not there.
TEST(Grant, NeverComesFromWhatAProcessSaysOfItself) {
  Random random(20260505);
  std::size_t refused = 0;
  for (int round = 0; round < 10000; ++round) {
    Case asked("agent", "GET", "/latest/user-data", "v2");
    PolicyChoices choices;
    for (std::size_t number = 1 + random.below(3); number > 0; --number) {
      auto made = some_entry(random, number);
      if (made.known != &kKnown.front()) choices.allow.push_back(made.entry);  // that one asks for no proof
    }
    auto const policies = build_policies(choices);
    auto holder = some_process(random);
    auto const grant_of = [&](Process const &process) {
      asked.attribution->holders = {std::make_shared<Lineage const>(Lineage{process, std::nullopt, {}})};
      return asked.decided(*policies.enforce).grant;
    };
    auto const before = grant_of(holder);
    holder.args = {kAgent, "agent", "curl"};
    holder.comm = "agent";
    if (before) continue;
    ASSERT_EQ(grant_of(holder), std::nullopt);
    ++refused;
  }
  EXPECT_GE(refused, 1000u);
}

}  // namespace
}  // namespace imdsgate
