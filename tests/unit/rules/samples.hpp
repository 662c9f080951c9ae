// What the tests of rules have in common.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "rules/rule.hpp"

namespace imdsgate {

// What a rule is that says nothing but its name and its query (interfaces §3).
inline void expect_defaults(Rule const &rule) {
  EXPECT_EQ(rule.version, 1);
  EXPECT_EQ(rule.severity, Severity::low);
  EXPECT_EQ(rule.risk_score, 21);
  EXPECT_EQ(rule.interval, std::chrono::minutes(5));
  EXPECT_EQ(rule.max_alerts, 100);
  EXPECT_EQ(rule.action, Verdict::alert);
  EXPECT_TRUE(rule.live_exec);
  EXPECT_EQ(rule.block_on, Rule::BlockOn::self);
}

// An exec that meets no criterion of the published rule, with these fields instead.
inline eql::Event harmless_exec(std::vector<std::pair<std::string, std::string>> const &fields = {}) {
  eql::Event event;
  event.category = "process";
  event.set("host.os.type", "linux");
  event.set("event.type", "start");
  event.set("event.action", "exec");
  event.set("process.name", "agent");
  event.set("process.executable", "/usr/bin/agent");
  event.set("process.command_line", "agent --once");
  event.set("process.working_directory", "/");
  event.set("process.parent.executable", "/usr/lib/systemd/systemd");
  for (auto const &[name, value] : fields) event.set(name, value);
  return event;
}

}  // namespace imdsgate
