#include "report/ecs_recorded.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace imdsgate {
namespace {

RuleInfo sample_rule() {
  RuleInfo rule;
  rule.id = "r";
  rule.name = "R";
  rule.severity = Severity::high;
  rule.risk_score = 73;
  return rule;
}

boost::json::object alert(std::string_view line) {
  std::uint64_t const events[] = {3, 7};
  boost::json::parse_options options;
  options.max_depth = 2000;
  return boost::json::parse(RecordedAlert(line).to_ecs(sample_rule(), events, -1), {}, options).as_object();
}

std::string at(boost::json::object const &object, std::string_view pointer) {
  return serialize(boost::json::value(object).at_pointer(pointer));
}

TEST(EcsRecorded, WhatTheAlertSaysItself) {
  auto const line =
      alert(R"({"@timestamp":5,"event.kind":"event","event":{"id":"e","action":"exec"},"rule":{"id":"x"},)"
            R"("events":[1],"tags":["x"],"threat":"x","message":"x","imdsgate":{"mode":"audit"}})");
  EXPECT_EQ(at(line, "/rule"), R"({"id":"r","name":"R","version":"1"})");
  EXPECT_EQ(at(line, "/events"), "[3,7]");
  EXPECT_EQ(at(line, "/@timestamp"), R"("1969-12-31T23:59:59.999Z")");
  EXPECT_EQ(at(line, "/event/kind"), R"("alert")");
  EXPECT_EQ(at(line, "/event/action"), R"("exec")");
  EXPECT_EQ(at(line, "/event/severity"), "73");
  EXPECT_EQ(at(line, "/event/risk_score"), "73");
  EXPECT_EQ(at(line, "/event/reason"), R"("r: R")");
  EXPECT_EQ(at(line, "/imdsgate"), R"({"mode":"audit","request_event_id":"e"})");
  EXPECT_EQ(at(line, "/message"), R"("an unnamed process: r: R")");
  EXPECT_FALSE(line.contains("tags"));
  EXPECT_FALSE(line.contains("threat"));
}

TEST(EcsRecorded, TheIdIsOfTheEventAndTheRule) {
  std::uint64_t const events[] = {0};
  RecordedAlert const one(R"({"event":{"id":"e"}})"), other(R"({"event":{"id":"f"}})");
  auto rule = sample_rule();
  auto const id = [&](RecordedAlert const &alert) {
    return at(boost::json::parse(alert.to_ecs(rule, events, 0)).as_object(), "/event/id");
  };
  auto const first = id(one);
  EXPECT_EQ(first, id(one));
  EXPECT_NE(first, id(other));
  rule.id = "s";
  EXPECT_NE(first, id(one));
  EXPECT_FALSE(alert("{}").at("event").as_object().contains("id"));
}

TEST(EcsRecorded, KeysAreNested) {
  EXPECT_EQ(at(alert(R"({"process.parent.name":"sh","process":{"name":"curl"},"process.parent":{"pid":1}})"),
               "/process"),
            R"({"parent":{"name":"sh","pid":1},"name":"curl"})");
  EXPECT_EQ(at(alert(R"({"a.b":1,"a":{"b":[2]}})"), "/a"), R"({"b":[1,2]})");
  EXPECT_EQ(at(alert(R"({"a":[{"b.c":1}]})"), "/a"), R"([{"b":{"c":1}}])");
  auto const twofold = alert(R"({"a":1,"a.b":2})");
  EXPECT_EQ(at(twofold, "/a"), "1");
  EXPECT_EQ(at(twofold, "/a.b"), "2");
}

TEST(EcsRecorded, ValuesStayWhatTheyAre) {
  EXPECT_EQ(at(alert(R"({"a":[null,true,-1,18446744073709551615,0.5,1e300,"\u202e<",{}]})"), "/a"),
            serialize(boost::json::parse(R"([null,true,-1,18446744073709551615,0.5,1e300,"\u202e<",{}])")));
  std::uint64_t const events[] = {0};
  auto const line = RecordedAlert("{\"a\":\"\\u202e<b>\"}").to_ecs(sample_rule(), events, 0);
  EXPECT_NE(line.find(R"("a":"\u202e\u003cb>")"), line.npos) << line;
}

TEST(EcsRecorded, SecretsAreTakenOut) {
  for (std::string const line :
       {R"({"process":{"command_line":"curl -H 'X-aws-ec2-metadata-token: SECRETVALUE' http://a"}})",
        R"({"process.args":["curl","--password","SECRETVALUE"]})",
        R"({"process":{"parent":{"args":["x","token=SECRETVALUE"]}}})",
        R"({"url.original":"/a?token=SECRETVALUE"})",
        R"({"url":{"original":"http://a/b?token=SECRETVALUE","query":"token=SECRETVALUE"}})",
        R"({"user_agent":{"original":"Bearer SECRETVALUE"}})"}) {
    EXPECT_EQ(serialize(alert(line)).find("SECRETVALUE"), std::string::npos) << line;
  }
}

TEST(EcsRecorded, DepthIsBounded) {
  std::string dots = "a", deep;
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  EXPECT_TRUE(alert("{\"" + dots + "\":1}").contains(dots));
  for (int i = 0; i < 400; ++i) deep += "{\"a.b.c\":";
  deep += '1' + std::string(400, '}');
  EXPECT_TRUE(alert(deep).contains("a"));
}

TEST(EcsRecorded, TheLimiterIsToldWhoItWas) {
  RecordedAlert const alert(
      R"({"process":{"executable":["/usr/bin/curl","x"],"entity_id":"e"},"user.id":33,"imdsgate.path_class":"credentials"})");
  auto const rule = sample_rule();
  auto const subject = alert.subject(rule);
  EXPECT_EQ(subject.name, "r");
  EXPECT_EQ(subject.executable, "/usr/bin/curl");
  EXPECT_EQ(subject.user, "33");
  EXPECT_EQ(subject.path_class, "credentials");
  EXPECT_EQ(subject.process, "e");
}

}  // namespace
}  // namespace imdsgate
