#include "gateway/identification.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "unit/gateway/fake_attributor.hpp"
#include "unit/gateway/temporary_directory.hpp"
#include "unit/gateway/told_execs.hpp"

namespace imdsgate {
namespace {

using namespace test;

Limits const kLimits;

// Who is named, or why nobody; and how often it was asked.
struct Answer {
  std::string who;
  int asked = 0;
  bool told = false;  // the look at accept said that it was through
};

Answer identify(std::deque<AttributionResult> answers, bool look_at_accept, int requests = 1) {
  boost::asio::io_context loop{1};
  FakeAttributor attributor(std::move(answers));
  Metrics metrics("x");
  ExecContext execs(nullptr, HostInfo{"host-1", "imds-1"});
  Identification identification({attributor, execs, metrics, kLimits}, Flow{}, loop.get_executor());
  Answer answer;
  auto const body = [&]() -> boost::asio::awaitable<void> {
    if (look_at_accept)
      identification.look_at_accept([&] { answer.told = identification.at_accept().has_value(); });
    for (int i = 0; i < requests; ++i) {
      auto const result = co_await identification.look_at_request(1);
      answer.who = result ? result->holders.front()->process.comm : std::string(name(result.error().reason));
    }
    co_await identification.settled();
  };
  bool done = false;
  boost::asio::co_spawn(loop, body, [&](std::exception_ptr failure) {
    EXPECT_FALSE(failure);
    done = true;
  });
  loop.run_for(std::chrono::seconds(10));
  EXPECT_TRUE(done);
  answer.asked = attributor.asked;
  return answer;
}

TEST(Identification, TheSameAtAcceptAndAtTheRequestIsNamed) {
  auto const answer = identify({named("curl")}, true);
  EXPECT_EQ(answer.who, "curl");
  EXPECT_EQ(answer.asked, 2);
  EXPECT_TRUE(answer.told);
}

TEST(Identification, WithoutALookAtAcceptOneLookNames) {
  auto const answer = identify({named("curl")}, false);
  EXPECT_EQ(answer.who, "curl");
  EXPECT_EQ(answer.asked, 1);
}

TEST(Identification, OthersThanAtAcceptAreNotNamed) {
  EXPECT_EQ(identify({named("agent"), named("curl")}, true).who, "holder_uncertain");
  EXPECT_EQ(identify({named("curl", 1), named("curl", 2)}, true).who, "holder_uncertain") << "another socket";
}

TEST(Identification, NobodyAtAcceptIsNobodyLater) {
  EXPECT_EQ(identify({unnamed(Reason::walk_timeout), named("curl")}, true).who, "holder_uncertain");
  EXPECT_EQ(identify({unnamed(Reason::walk_timeout), named("curl")}, false, 2).who, "holder_uncertain");
}

TEST(Identification, NobodyAtTheRequestKeepsItsOwnReason) {
  EXPECT_EQ(identify({named("curl"), unnamed(Reason::socket_gone)}, true).who, "socket_gone");
  EXPECT_EQ(identify({unnamed(Reason::no_holder)}, false).who, "no_holder");
}

TEST(Identification, EveryRequestIsComparedWithTheFirst) {
  EXPECT_EQ(identify({named("curl")}, false, 3).asked, 3);
  EXPECT_EQ(identify({named("agent"), named("agent"), named("curl")}, false, 3).who, "holder_uncertain");
  EXPECT_EQ(identify({named("agent"), named("curl"), named("agent")}, false, 3).who, "amazon-ssm-agen");
}

AttributionResult by_kernel(std::string const &who) {
  auto result = named(who);
  result->method = Attribution::Method::bpf;
  return result;
}

TEST(Identification, WhatTheKernelWroteDownNeedsNoSecondLook) {
  EXPECT_EQ(identify({unnamed(Reason::walk_timeout), by_kernel("curl")}, true).who, "curl");
  EXPECT_EQ(identify({named("agent"), by_kernel("curl")}, true).who, "curl");
}

TEST(Identification, AfterwardsOthersThanTheKernelSawAreNotNamed) {
  EXPECT_EQ(identify({by_kernel("curl"), named("agent")}, false, 2).who, "holder_uncertain");
  EXPECT_EQ(identify({by_kernel("curl"), named("curl")}, false, 2).who, "curl");
}

class Throwing : public Attributor {
 public:
  boost::asio::awaitable<AttributionResult> attribute(Flow, std::uint64_t) override {
    if (thrown_++ == 0) throw std::runtime_error("broken");
    co_return named("curl");
  }

 private:
  int thrown_ = 0;
};

TEST(Identification, AnAttributorThatThrowsNamesNobody) {
  boost::asio::io_context loop{1};
  Throwing attributor;
  Metrics metrics("x");
  ExecContext execs(nullptr, HostInfo{"host-1", "imds-1"});
  Identification identification({attributor, execs, metrics, kLimits}, Flow{}, loop.get_executor());
  identification.look_at_accept([] {});
  loop.run_for(std::chrono::seconds(10));
  ASSERT_TRUE(identification.at_accept());
  ASSERT_FALSE(*identification.at_accept());
  EXPECT_EQ(identification.at_accept()->error().reason, Reason::prober_unavailable);
}

using namespace std::chrono_literals;

// curl, accepted at 1000 ms.
struct ExecOfTheClient {
  MonotonicTime exec;
  std::optional<MonotonicTime> dialled{};
  std::optional<MonotonicTime> lost{};  // exec events, at that time
  bool lost_before_first_look = true;   // or between it and a second
  AttributionResult found = named("curl");
};

// Of the last request.
std::string reason_after(ExecOfTheClient const &test) {
  boost::asio::io_context loop{1};
  FakeAttributor attributor({test.found});
  Metrics metrics("x");
  ToldExecs told(loop);
  ExecContext execs(told.events(), HostInfo{"host-1", "imds-1"});
  auto const curl = person("curl");
  told.tell(exec_of(curl->process, *curl->parent, test.exec));
  auto const lose = [&] {
    if (test.lost) told.events()->history().lost(*test.lost, *test.lost);
  };
  Flow flow;
  flow.accepted_steady = at(1000ms);
  flow.dialled_steady = test.dialled;
  Identification identification({attributor, execs, metrics, kLimits}, flow, loop.get_executor());
  std::string reason;
  auto const ask = [&]() -> boost::asio::awaitable<void> {
    if (test.lost_before_first_look) lose();
    auto result = co_await identification.look_at_request(1);
    lose();
    result = co_await identification.look_at_request(2);
    reason = result ? "named" : name(result.error().reason);
  };
  boost::asio::co_spawn(loop, ask, [](std::exception_ptr failure) { EXPECT_FALSE(failure); });
  loop.run_for(10s);
  return reason;
}

TEST(Identification, WhoeverHasExecdSinceTheAcceptIsNotNamed) {
  EXPECT_EQ(reason_after({at(999ms)}), "named");
  EXPECT_EQ(reason_after({at(1001ms)}), "holder_uncertain");
}

TEST(Identification, WhoeverHasExecdSinceItWasDialledIsNotNamed) {
  EXPECT_EQ(reason_after({at(999ms), at(998ms)}), "holder_uncertain");
  EXPECT_EQ(reason_after({at(997ms), at(998ms)}), "named");
  EXPECT_EQ(reason_after({at(999ms), at(998ms), {}, true, by_kernel("curl")}), "named") << "that is of its own time";
}

TEST(Identification, WhereAnExecSinceItWasDialledMayBeMissingNobodyIsNamed) {
  EXPECT_EQ(reason_after({at(1ms), at(998ms), at(999ms)}), "holder_uncertain");
  EXPECT_EQ(reason_after({at(1ms), at(998ms), at(997ms)}), "named") << "what was lost before does not matter";
  EXPECT_EQ(reason_after({at(1ms), at(998ms), at(2000ms), false}), "named") << "the same as at the first look";
  EXPECT_EQ(reason_after({at(1ms), std::nullopt, at(999ms)}), "named") << "it is not known when it was dialled";
}

TEST(Identification, WhoeverHasTheAddressesOfAConnectionThatWasResetIsNotNamed) {
  boost::asio::io_context loop{1};
  FakeAttributor attributor({named("curl")});
  Metrics metrics("x");
  ExecContext execs(nullptr, HostInfo{"host-1", "imds-1"});
  Identification identification({attributor, execs, metrics, kLimits}, Flow{}, loop.get_executor(),
                                [] { return true; });
  identification.look_at_accept([] {});
  loop.run_for(std::chrono::seconds(10));
  ASSERT_TRUE(identification.at_accept() && !*identification.at_accept());
  EXPECT_EQ(identification.at_accept()->error().reason, Reason::socket_gone);
}

// Half of what the attribution may take, as a reload has it by then; the runtime itself would have longer.
TEST(Identification, ARuntimeThatIsSilentIsWaitedForAsLongAsTheLimitsSay) {
  boost::asio::io_context loop{1};
  TemporaryDirectory directory;
  boost::asio::local::stream_protocol::acceptor const silent(loop, {directory / "runtime.sock"});
  ContainerRuntimeOptions options;
  options.deadline = 60s;
  ContainerRuntime runtime(loop.get_executor(), ContainerApi::docker, directory / "runtime.sock", options);
  FakeAttributor attributor({named("contained")});
  Metrics metrics("x");
  ExecContext execs(nullptr, HostInfo{"host-1", "imds-1"});
  Limits limits;
  Identification identification({attributor, execs, metrics, limits, &runtime}, Flow{}, loop.get_executor());
  limits.attribution_timeout = 800ms;
  bool done = false;
  identification.look_at_accept([&] { done = true; });
  auto const started = std::chrono::steady_clock::now();
  while (!done && std::chrono::steady_clock::now() < started + 30s) loop.run_one_for(1s);
  EXPECT_GE(std::chrono::steady_clock::now() - started, 400ms);
  ASSERT_TRUE(done && identification.at_accept());
  EXPECT_TRUE(*identification.at_accept()) << "it is named all the same";
}

}  // namespace
}  // namespace imdsgate
