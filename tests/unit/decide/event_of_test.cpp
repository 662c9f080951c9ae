#include "decide/event_of.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/decide/people.hpp"

namespace imdsgate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class EventOf : public testing::Test {
 protected:
  eql::Event event(Lineage const &lineage, Presented as = Presented::request,
                   std::string_view endpoint = "169.254.169.254:80") {
    request_.target = "/latest//user-data?a=b";
    request_.path = "/latest/user-data";
    request_.method = "GET";
    request_.user_agent = "x/1";
    return event_of(lineage, {endpoint, &host_, &request_, true}, as);
  }
  static eql::Values values(eql::Event const &event, std::string_view field) {
    auto const *found = event.find(field);
    return found ? *found : eql::Values{};
  }
  MetadataRequest request_;
  HostInfo host_{"host-1", "imds-1", Provider::gce};
};

TEST_F(EventOf, ClaimsEverythingAProcessGoesByAndProvesWhatTheKernelVouchesFor) {
  Lineage lineage{process("/usr/bin/busybox", "./curl", 1000, {"x"}), {}, {}};
  auto const name = values(event(lineage), "process.name");
  EXPECT_THAT(name.claimed, ElementsAre("busybox", "curl"));
  EXPECT_THAT(name.proven, ElementsAre("busybox"));
  auto const path = values(event(lineage), "process.executable");
  EXPECT_THAT(path.claimed, ElementsAre("/usr/bin/busybox", "./curl"));
  EXPECT_THAT(path.proven, ElementsAre("/usr/bin/busybox"));
}

TEST_F(EventOf, ClaimsTheCommToo) {
  auto self = process("/usr/bin/fetch", "fetch", 1000);
  self.comm = "curl";
  EXPECT_THAT(values(event({self, {}, {}}), "process.name").claimed, ElementsAre("fetch", "curl"));
}

TEST_F(EventOf, TakesALoginShellsDashOff) {
  EXPECT_THAT(values(event({process("/usr/bin/dash", "-sh", 0), {}, {}}), "process.name").claimed,
              ElementsAre("dash", "sh"));
}

TEST_F(EventOf, KeepsADeletedPathAsAClaim) {
  auto const path = values(event(*person("deleted")), "process.executable");
  EXPECT_THAT(path.claimed, ElementsAre("/dev/shm/x"));
  EXPECT_THAT(path.proven, IsEmpty());
}

TEST_F(EventOf, ProvesNothingOfATracedProcess) {
  auto const traced = event(*person("traced-agent"));
  for (auto const *field : {"process.name", "process.executable", "process.working_directory"}) {
    EXPECT_FALSE(values(traced, field).claimed.empty()) << field;
    EXPECT_THAT(values(traced, field).proven, IsEmpty()) << field;
  }
  EXPECT_THAT(values(traced, "user.id").proven, ElementsAre("0")) << "whose it is, the kernel still says";
}

TEST_F(EventOf, ProvesNoArgumentAndNoUserAgent) {
  auto const curl = event(*person("curl"));
  for (auto const *field : {"process.args", "process.command_line", "user_agent.original"}) {
    EXPECT_FALSE(values(curl, field).claimed.empty()) << field;
    EXPECT_THAT(values(curl, field).proven, IsEmpty()) << field;
    EXPECT_TRUE(never_proven(field)) << field;
  }
}

TEST_F(EventOf, TellsUnreadableFromMissing) {
  auto lineage = *person("unreadable");
  auto const hidden = event(lineage);
  for (auto const *field :
       {"process.name", "process.executable", "process.args", "process.working_directory",
        "process.parent.executable", "process.parent.name", "container.id", "imdsgate.unit"}) {
    EXPECT_TRUE(values(hidden, field).unreadable) << field;
  }
  lineage.process.parent_pid = 0;
  EXPECT_EQ(event(lineage).find("process.parent.name"), nullptr) << "pid 1 has no parent";
  auto const open = event(*person("stranger"));
  EXPECT_EQ(open.find("container.id"), nullptr) << "its cgroup is known, and in no container";
}

// A container that nobody told about is of some image; where there is none, there is no image.
TEST_F(EventOf, SaysOfAContainerWhatTheRuntimeSaid) {
  constexpr char const *kFields[] = {"container.image.name", "container.name", "orchestrator.namespace",
                                     "orchestrator.resource.name", "orchestrator.resource.type"};
  Lineage lineage = *person("contained");
  for (auto const *field : kFields) EXPECT_TRUE(values(event(lineage), field).unreadable) << field;
  for (auto const *field : kFields) EXPECT_EQ(event(*person("stranger")).find(field), nullptr) << field;
  lineage.process.container =
      std::make_shared<ContainerDetails const>(ContainerDetails{"nginx:1", "web", std::nullopt, std::nullopt});
  EXPECT_THAT(values(event(lineage), "container.image.name").proven, ElementsAre("nginx:1"));
  EXPECT_THAT(values(event(lineage), "container.name").proven, ElementsAre("web"));
  EXPECT_EQ(event(lineage).find("orchestrator.namespace"), nullptr) << "it is no pod's";
  lineage.process.container = std::make_shared<ContainerDetails const>(ContainerDetails{"nginx:1", "web", "web-1", "shop"});
  EXPECT_THAT(values(event(lineage), "orchestrator.namespace").proven, ElementsAre("shop"));
  EXPECT_THAT(values(event(lineage), "orchestrator.resource.name").proven, ElementsAre("web-1"));
}

TEST_F(EventOf, SaysThatCutArgumentsAreNotAll) {
  auto self = process("/usr/bin/x", "x", 0);
  self.args_truncated = true;
  EXPECT_TRUE(values(event({self, {}, {}}), "process.args").unreadable);
}

TEST_F(EventOf, TakesTheEffectiveUserAndKeepsTheRealOne) {
  auto self = process("/usr/bin/su", "su", 1000);
  self.effective_uid = 0;
  auto const su = event({self, {}, {}});
  EXPECT_THAT(values(su, "user.id").proven, ElementsAre("0"));
  EXPECT_THAT(values(su, "process.real_user.id").proven, ElementsAre("1000"));
  EXPECT_THAT(values(su, "group.id").proven, ElementsAre("1000"));
}

TEST_F(EventOf, IsOfEachCategory) {
  auto const lineage = *person("agent");
  auto const exec = event(lineage, Presented::exec);
  EXPECT_EQ(exec.category, "process");
  EXPECT_THAT(values(exec, "event.action").claimed, ElementsAre("exec"));
  EXPECT_THAT(values(exec, "event.type").claimed, ElementsAre("start"));
  auto const connection = event(lineage, Presented::connection, "[fd00:ec2::254]:80");
  EXPECT_EQ(connection.category, "network");
  EXPECT_THAT(values(connection, "event.action").claimed, ElementsAre("connection_attempted"));
  EXPECT_THAT(values(connection, "destination.ip").claimed, ElementsAre("fd00:ec2::254"));
  EXPECT_THAT(values(connection, "destination.port").claimed, ElementsAre("80"));
  auto const web = event(lineage);
  EXPECT_EQ(web.category, "web");
  EXPECT_THAT(values(web, "url.path").claimed, ElementsAre("/latest/user-data"));
  EXPECT_THAT(values(web, "url.query").claimed, ElementsAre("a=b"));
}

// `sh -c 'curl … & exec EXCLUDED'` must not excuse curl.
TEST_F(EventOf, AParentExcusesOnlyWhatItAlwaysWas) {
  auto const excluded = process("/usr/bin/setup-policy-routes", "setup-policy-routes", 0);
  Lineage lineage{process("/usr/bin/curl", "curl", 0), excluded, {}};
  EXPECT_THAT(values(event(lineage), "process.parent.executable").proven,
              ElementsAre(excluded.executable->path));
  lineage.former_parents = {std::make_shared<Process const>(process("/usr/bin/bash", "sh", 0))};
  auto const path = values(event(lineage), "process.parent.executable");
  EXPECT_THAT(path.proven, IsEmpty());
  EXPECT_THAT(path.claimed, ElementsAre(excluded.executable->path, "/usr/bin/bash"));
  lineage.former_parents = {std::make_shared<Process const>(excluded)};
  EXPECT_THAT(values(event(lineage), "process.parent.executable").proven,
              ElementsAre(excluded.executable->path));
}

TEST_F(EventOf, ClaimsTheArgumentsThatWereErasedSince) {
  auto self = process("/usr/bin/curl", "curl", 0);
  self.at_exec =
      std::make_shared<Process const>(process("/usr/bin/curl", "curl", 0, {"http://169.254.169.254/"}));
  EXPECT_THAT(values(event({self, {}, {}}), "process.command_line").claimed,
              ElementsAre("curl", "curl http://169.254.169.254/"));
}

TEST_F(EventOf, NamesTheHostThatASequenceJoinsOn) {
  auto const exec = event(*person("agent"), Presented::exec);
  EXPECT_THAT(values(exec, "host.id").claimed, ElementsAre("host-1"));
  EXPECT_THAT(values(exec, "host.name").proven, ElementsAre("imds-1"));
  EXPECT_THAT(values(exec, "cloud.provider").proven, ElementsAre("gcp"));
}

TEST_F(EventOf, OfAHostWithoutANameIsNotKnownWhatItIsCalled) {
  HostInfo const nameless{"host-1", "", Provider::ec2};
  auto const exec = event_of(*person("agent"), {"", &nameless, nullptr, false}, Presented::exec);
  EXPECT_TRUE(values(exec, "host.name").unreadable);
  auto const nowhere = event_of(*person("agent"), {"", nullptr, nullptr, false}, Presented::exec);
  for (auto const *field : {"host.id", "host.name", "cloud.provider"}) {
    EXPECT_TRUE(values(nowhere, field).unreadable) << field;
  }
}

TEST_F(EventOf, NamesTheTransportAsTheEventsThatAreWrittenDo) {
  auto const of = [&](std::string_view endpoint, Presented as) {
    auto const each = event(*person("agent"), as, endpoint);
    auto const transport = values(each, "network.transport").claimed, type = values(each, "network.type").claimed;
    return (transport.empty() ? "-" : transport.front()) + ' ' + (type.empty() ? "-" : type.front());
  };
  EXPECT_EQ(of("169.254.169.254:80", Presented::request), "tcp ipv4");
  EXPECT_EQ(of("[fd00:ec2::254]:80", Presented::connection), "tcp ipv6");
  EXPECT_EQ(of("169.254.169.254:80", Presented::exec), "- -");
  auto const local = event_of(*person("agent"), {"169.254.169.254:80", &host_, nullptr, false}, Presented::request);
  EXPECT_EQ(local.find("network.transport"), nullptr) << "the UNIX listener";
}

// A policy may name exactly what an event can have.
TEST_F(EventOf, SetsTheFieldsThatAPolicyMayName) {
  auto self = process("/usr/bin/x", "x", 0);
  self.container_id = "c1";
  self.unit = "some.service";
  auto const full = event({self, self, {}});
  for (auto const field : event_fields()) EXPECT_NE(full.find(field), nullptr) << field;
}

}  // namespace
}  // namespace imdsgate
