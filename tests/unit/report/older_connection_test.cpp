// Connections that are older than the redirect: no request, and no connection that was accepted.
#include <gtest/gtest.h>

#include "ecs_lines.hpp"
#include "report/metrics.hpp"
#include "sample_event.hpp"

namespace imdsgate {
namespace {

RequestEvent older(OlderConnection outcome, Verdict verdict) {
  auto event = testing::sample_event();
  event.request.reset();
  event.raw.reset();
  event.status = 0;
  event.older = outcome;
  event.action = verdict == Verdict::block ? Action::block : Action::forward;
  event.decision.verdict = verdict;
  event.decision.findings = {testing::reason_finding(verdict, Reason::older_connection)};
  return event;
}

TEST(OlderConnection, IsAnEventOfItsOwnThatNamesItsOwner) {
  struct Row {
    OlderConnection outcome;
    Verdict verdict;
    char const *action, *result, *type;
  };
  for (auto const &[outcome, verdict, action, result, type] :
       {Row{OlderConnection::found, Verdict::allow, "connection_found", "success", "allowed"},
        Row{OlderConnection::destroyed, Verdict::block, "connection_destroyed", "success", "denied"},
        Row{OlderConnection::kept, Verdict::alert, "connection_kept", "failure", "allowed"}}) {
    auto const event = testing::line_of(older(outcome, verdict), EventKind::event);
    EXPECT_EQ(testing::at(event, "event.action"), action);
    EXPECT_EQ(testing::at(event, "event.outcome"), result);
    EXPECT_EQ(testing::at(event, "event.type").as_array().at(1), type);
    EXPECT_EQ(testing::at(event, "process.name"), "curl");
    EXPECT_EQ(testing::at(event, "source.port"), 45555);
    EXPECT_EQ(testing::at(event, "destination.ip"), "169.254.169.254");
    EXPECT_EQ(testing::at(event, "imdsgate.reason"), "older_connection");
  }
}

TEST(OlderConnection, SaysInItsAlertWhatBecameOfIt) {
  auto const message = [](OlderConnection outcome, Verdict verdict) {
    return std::string(testing::at(testing::line_of(older(outcome, verdict), EventKind::alert), "message").as_string());
  };
  EXPECT_NE(message(OlderConnection::destroyed, Verdict::block).find("goes past the gateway, destroyed"), std::string::npos);
  EXPECT_NE(message(OlderConnection::kept, Verdict::alert).find("could not be destroyed"), std::string::npos);
}

TEST(OlderConnection, IsCountedByItselfAndNotAsARequest) {
  Metrics metrics("1");
  auto event = older(OlderConnection::kept, Verdict::alert);
  event.unattributed = Reason::no_holder;
  metrics.count(event, Provider::ec2);
  metrics.count(older(OlderConnection::destroyed, Verdict::block), Provider::ec2);
  auto const text = metrics.render();
  EXPECT_NE(text.find("imdsgate_older_connections_total{result=\"found\"} 0\n"), std::string::npos);
  EXPECT_NE(text.find("imdsgate_older_connections_total{result=\"destroyed\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("imdsgate_older_connections_total{result=\"kept\"} 1\n"), std::string::npos);
  EXPECT_EQ(metrics.unattributed(Reason::no_holder), 0U);
}

}  // namespace
}  // namespace imdsgate
