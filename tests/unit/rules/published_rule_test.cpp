// The detection rule as it is published, read from where a user has it: it is not part of this repository.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "rules/engine.hpp"
#include "unit/rules/samples.hpp"

using namespace imdsgate;
using namespace imdsgate::eql;

namespace {

std::filesystem::path published_file() {
  if (char const *const file = std::getenv("IMDSGATE_PUBLISHED_RULE")) return file;
  return std::filesystem::path(SOURCE_DIR) / "../shared/seed/unusual-imds-request-v2.txt";
}

// The page runs its word "edit" into the query, which ends where the framework's part begins.
std::string query_in(std::string const &page) {
  constexpr std::string_view kBefore = "Rule query\nedit", kBehind = "Framework:";
  auto const before = page.find(kBefore);
  if (before == std::string::npos) return page;
  auto const start = before + kBefore.size();
  return page.substr(start, page.find(kBehind, start) - start);
}

class PublishedRule : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(published_file());
    if (!file)
      GTEST_SKIP() << "no published rule at " << published_file() << "; IMDSGATE_PUBLISHED_RULE names it";
    std::ostringstream page;
    page << file.rdbuf();
    auto compiled = compile_rule_query(query_in(page.str()), {"published", 1, 1, 0, {}});
    if (auto const *problem = std::get_if<Problem>(&compiled)) FAIL() << problem->to_string();
    auto rule = std::make_shared<Rule>();
    rule->query = std::get<RuleQuery>(std::move(compiled));
    rule_ = std::move(rule);
  }

  // An exec that meets no criterion, with these fields instead, and a connection `later` milliseconds on.
  static Event exec(std::vector<std::pair<std::string, std::string>> fields = {}) {
    fields.insert(fields.begin(), {{"host.id", "h"}, {"process.parent.entity_id", "parent"}});
    return harmless_exec(fields);
  }
  static Event connection(std::vector<std::pair<std::string, std::string>> const &fields = {}) {
    Event event;
    event.category = "network";
    event.set("host.id", "h");
    event.set("host.os.type", "linux");
    event.set("event.action", "connection_attempted");
    event.set("destination.ip", "169.254.169.254");
    event.set("process.parent.entity_id", "parent");
    for (auto const &[name, value] : fields) event.set(name, value);
    return event;
  }
  bool matches(Event const &first, Event const &second, std::int64_t later = 1) {
    Engine engine({rule_}, {});
    std::vector<Engine::Match> found;
    engine.feed(Row(engine.fields(), first), {1000, 0}, found);
    EXPECT_TRUE(found.empty());
    engine.feed(Row(engine.fields(), second), {1000 + later, 1}, found);
    if (found.empty()) return false;
    EXPECT_EQ(found[0].events, (std::vector<std::uint64_t>{0, 1}));
    return true;
  }

  std::shared_ptr<Rule const> rule_;
};

TEST_F(PublishedRule, IsASequenceOfTwoJoinedByTheParent) {
  auto const &sequence = std::get<Sequence>(rule_->query);
  EXPECT_EQ(sequence.maxspan, 1000);
  ASSERT_EQ(sequence.stages.size(), 2u);
  for (auto const &stage : sequence.stages) {
    ASSERT_EQ(stage.keys.size(), 2u);
    EXPECT_EQ(stage.keys[0].name, "host.id");
    EXPECT_EQ(stage.keys[1].name, "process.parent.entity_id");
  }
}

TEST_F(PublishedRule, MatchesEachCriterion) {
  EXPECT_FALSE(matches(exec(), connection()));
  EXPECT_TRUE(matches(exec({{"process.name", "curl"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.name", "PYTHON3.11"}}), connection()));
  EXPECT_FALSE(matches(exec({{"process.name", "curly"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.executable", "/tmp/x"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.executable", "/etc/rc3.d/x"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.command_line", "agent http://169.254.169.254/latest"}}), connection()));
  EXPECT_FALSE(
      matches(exec({{"process.command_line", "agent http://169.254.169.253/latest"}}), connection()));
}

TEST_F(PublishedRule, JoinsWithinASecondOnTheSameHostAndParent) {
  Event const curl = exec({{"process.name", "curl"}});
  EXPECT_TRUE(matches(curl, connection(), 1000));
  EXPECT_FALSE(matches(curl, connection(), 1001));
  EXPECT_FALSE(matches(curl, connection({{"host.id", "other"}})));
  EXPECT_FALSE(matches(curl, connection({{"process.parent.entity_id", "other"}})));
  EXPECT_FALSE(matches(curl, connection({{"destination.ip", "169.254.169.253"}})));
  EXPECT_TRUE(matches(curl, connection({{"destination.ip", "::ffff:169.254.169.254"}})));
  EXPECT_FALSE(matches(curl, connection({{"event.action", "connection_accepted"}})));
}

// As its text binds: `and` is stronger than `or`, so the exclusions are about the command line's term alone,
// and os, type and action about the name's.
TEST_F(PublishedRule, BindsAsItIsWritten) {
  std::string const line = "agent 169.254.169.254";
  EXPECT_FALSE(matches(exec({{"process.command_line", line}, {"process.working_directory", "/opt/rapid7/x"}}),
                       connection()));
  EXPECT_FALSE(
      matches(exec({{"process.command_line", line}, {"process.executable", "/opt/rumble/bin/rumble-agent"}}),
              connection()));
  EXPECT_FALSE(
      matches(exec({{"process.command_line", line}, {"process.parent.executable", "/var/lib/amazon/ssm/x"}}),
              connection()));
  EXPECT_TRUE(matches(exec({{"process.name", "curl"}, {"process.working_directory", "/opt/rapid7/x"}}),
                      connection()));
  EXPECT_TRUE(
      matches(exec({{"process.executable", "/tmp/x"}, {"process.working_directory", "/opt/rapid7/x"}}),
              connection()));
  EXPECT_FALSE(matches(exec({{"process.name", "curl"}, {"event.action", "fork"}}), connection()));
  EXPECT_FALSE(matches(exec({{"process.name", "curl"}, {"host.os.type", "macos"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.executable", "/tmp/x"}, {"event.action", "fork"}}), connection()));
  EXPECT_TRUE(matches(exec({{"process.command_line", line}, {"host.os.type", "macos"}}), connection()));
}

}  // namespace
