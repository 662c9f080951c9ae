// A client's connection from accept to its last byte, with a service on 127.0.0.1 behind the gateway.
#include "gateway/session.hpp"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>
#include <future>

#include "gateway/gateway.hpp"
#include "unit/act/peer.hpp"
#include "unit/gateway/fake_attributor.hpp"
#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

using namespace test;
using testing::HasSubstr;

class CollectingSink : public EventSink {
 public:
  void write(RequestEvent event) override { requests.push_back(std::move(event)); }
  void write(LifecycleEvent const &) override {}
  std::vector<RequestEvent> requests;
};

std::string get(std::string const &path, std::string const &more = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: AQ==\r\n" + more +
         "\r\n";
}

std::string answer_to(std::string const &header) {
  auto const target = header.substr(header.find(' ') + 1, header.find(" HTTP") - header.find(' ') - 1);
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(target.size()) + "\r\n\r\n" + target;
}

// A service that answers so many requests, on one connection, with their targets.
Upstream::Script answering(int requests) {
  return [requests](Upstream &self) {
    auto peer = self.accept();
    for (int i = 0; i < requests; ++i) {
      auto const header = peer.read_header();
      if (header.empty()) return;
      peer.send(answer_to(header));
    }
    peer.read_to_end();
  };
}

// As the shipped rule, for the upstream of a test, whose address it does not name.
std::shared_ptr<Rule const> curl_rule() {
  return load_rule(
             "id: unusual-imds-request\nname: curl\naction: block\nquery: |\n"
             "  sequence by process.parent.entity_id with maxspan=1s\n"
             "    [process where process.name == \"curl\"] [network where true]\n",
             "curl.yaml")
      .rule;
}

class SessionTest : public testing::Test {
 protected:
  // Serves on a UNIX socket until `client`, on a thread of its own, is through and all its connections are
  // done.
  template <class Client>
  void serve(Upstream const &upstream, Mode mode, std::deque<AttributionResult> who, Client client) {
    PolicyChoices choices;
    choices.endpoints = {upstream.endpoint()};
    choices.rules = rules_;
    settings_.mode = mode;
    settings_.endpoints = choices.endpoints;
    attributor_.emplace(std::move(who));
    auto const uid = [](Flow const &, int) -> std::optional<uid_t> { return 1000; };
    auto const alive = [](Flow const &) { return true; };
    Gateway::Parts parts{loop_, *attributor_, execs_, sink_, metrics_, [](Flow const &) {}, uid, alive};
    gateway_.emplace(std::move(parts), settings_, build_policies(choices));
    auto const listener = std::move(Listener::open_unix(loop_.get_executor(), path_).value());
    boost::asio::co_spawn(loop_, gateway_->accept_from(*listener), boost::asio::detached);
    {
      std::jthread const thread([&] {
        client();
        boost::asio::post(loop_, [&] { listener->close(); });
      });
      loop_.run_for(std::chrono::seconds(20));
    }
    EXPECT_TRUE(loop_.stopped()) << "a session did not end";
    EXPECT_EQ(gateway_->sessions(), 0u);
    gateway_->pool().close_idle();
  }

  // A connection as if redirected from there.
  void serve_tcp(int fd, Endpoint const &original) {
    Flow flow;
    flow.original = original;
    StreamSocket socket(loop_, StreamSocket::protocol_type(AF_UNIX, 0), fd);
    boost::asio::co_spawn(
        loop_, imdsgate::serve(*gateway_, Connection(std::move(socket)), flow, *admission_.enter()),
        boost::asio::detached);
  }

  // Runs on the loop, and waits for it.
  void on_loop(std::function<void()> change) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      change();
      done.set_value();
    });
    done.get_future().get();
  }

  // The status line, and the body as Content-Length says.
  std::pair<std::string, std::string> read_answer(Peer &peer) {
    auto const header = peer.read_header();
    auto const length = header.find("Content-Length: ");
    if (length == std::string::npos) return {header, ""};
    return {header.substr(0, header.find("\r\n")), peer.read_exactly(std::stoul(header.substr(length + 16)))};
  }

  TemporaryDirectory directory_;
  std::string const path_ = directory_ / "imdsgate.sock";
  boost::asio::io_context loop_{1};
  CollectingSink sink_;
  Metrics metrics_{"x"};
  ExecContext execs_{nullptr, {"host-1", "imds-1"}};
  Settings settings_;
  std::vector<std::shared_ptr<Rule const>> rules_{curl_rule()};
  std::optional<FakeAttributor> attributor_;
  std::optional<Gateway> gateway_;
  Admission admission_{{8, 8}};  // for what does not come through the listener
};

TEST_F(SessionTest, AuditForwardsWhatTheRuleWouldBlock) {
  Upstream upstream(answering(1));
  serve(upstream, Mode::audit, {named("curl")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/meta-data/"));
    auto const [status, body] = read_answer(peer);
    EXPECT_EQ(status, "HTTP/1.1 200 OK");
    EXPECT_EQ(body, "/latest/meta-data/");
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  auto const &event = sink_.requests.front();
  EXPECT_EQ(event.decision.verdict, Verdict::block);
  EXPECT_EQ(event.decision.findings.front().name, "unusual-imds-request");
  EXPECT_EQ(event.action, Action::forward);
  EXPECT_EQ(event.mode, Mode::audit);
  EXPECT_EQ(event.status, 200);
  EXPECT_EQ(event.flow.original, upstream.endpoint());
  EXPECT_EQ(event.flow.unix_fd, -1);
  EXPECT_EQ(event.response_body_bytes, 18u);
  EXPECT_FALSE(event.failure);
  ASSERT_TRUE(event.attribution);
  EXPECT_EQ(event.attribution->holders.front()->process.comm, "curl");
}

TEST_F(SessionTest, EnforceBlocksItAndTheServiceHearsNothing) {
  Upstream upstream;
  serve(upstream, Mode::enforce, {named("curl")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/meta-data/"));
    auto const [status, body] = read_answer(peer);
    EXPECT_EQ(status, "HTTP/1.1 403 Forbidden");
    boost::system::error_code code;
    auto const object = boost::json::parse(body, code);
    ASSERT_FALSE(code) << body;
    EXPECT_EQ(object.at("error"), "blocked by imdsgate");
    EXPECT_EQ(object.at("reason"), "unusual-imds-request");
    EXPECT_FALSE(object.at("alert").as_string().empty());
    EXPECT_TRUE(peer.at_end());
  });
  EXPECT_FALSE(upstream.somebody_waits());
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().action, Action::block);
  EXPECT_EQ(sink_.requests.front().status, 403);
}

TEST_F(SessionTest, EnforceForwardsWhatNothingSpeaksAgainst) {
  Upstream upstream(answering(1));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/meta-data/"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 200 OK");
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().decision.verdict, Verdict::allow);
}

TEST_F(SessionTest, ARuleMayBeAboutOneHost) {
  for (auto const *host : {"imds-1", "another"}) {
    auto const text = std::string("id: on-") + host + "\nname: host\nquery: web where host.name == \"" + host + "\"\n";
    rules_.push_back(load_rule(text, "host.yaml").rule);
    ASSERT_TRUE(rules_.back());
  }
  Upstream upstream(answering(1));
  serve(upstream, Mode::audit, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/meta-data/"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 200 OK");
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  std::vector<std::string> found;
  for (auto const &finding : sink_.requests.front().decision.findings) found.push_back(finding.name);
  EXPECT_EQ(found, std::vector<std::string>{"on-imds-1"});
}

TEST_F(SessionTest, WhoCannotBeNamedIsBlockedInEnforce) {
  Upstream upstream;
  serve(upstream, Mode::enforce, {unnamed(Reason::walk_timeout)}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/meta-data/"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 403 Forbidden");
  });
  EXPECT_FALSE(upstream.somebody_waits());
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().unattributed, Reason::walk_timeout);
  EXPECT_FALSE(sink_.requests.front().attribution);
}

TEST_F(SessionTest, WhoChangesBetweenAcceptAndRequestIsNotNamed) {
  Upstream upstream;
  serve(upstream, Mode::enforce, {named("agent"), named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    for (bool looked = false; !looked;) on_loop([&] { looked = attributor_->asked == 1; });
    peer.send(get("/latest/meta-data/"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 403 Forbidden");
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().unattributed, Reason::holder_uncertain);
}

TEST_F(SessionTest, TwoRequestsInOneWrite) {
  Upstream upstream(answering(2));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1") + get("/latest/2"));
    EXPECT_EQ(read_answer(peer).second, "/latest/1");
    EXPECT_EQ(read_answer(peer).second, "/latest/2");
  });
  ASSERT_EQ(sink_.requests.size(), 2u);
  EXPECT_EQ(sink_.requests[1].request->path, "/latest/2");
  EXPECT_NE(sink_.requests[0].id, sink_.requests[1].id);
}

TEST_F(SessionTest, ABlockEndsTheConnectionWithWhatWasSentBehindIt) {
  Upstream upstream;
  serve(upstream, Mode::enforce, {named("curl"), named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1") + get("/latest/2"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 403 Forbidden");
    EXPECT_EQ(peer.read_to_end(), "");
  });
  EXPECT_FALSE(upstream.somebody_waits());
  EXPECT_EQ(sink_.requests.size(), 1u);
}

TEST_F(SessionTest, TheNextRequestIsDecidedInTheNewMode) {
  Upstream upstream(answering(1));
  serve(upstream, Mode::audit, {named("curl")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 200 OK");
    on_loop([&] { gateway_->set_mode(Mode::enforce); });
    peer.send(get("/latest/2"));
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 403 Forbidden");
  });
  ASSERT_EQ(sink_.requests.size(), 2u);
  EXPECT_EQ(sink_.requests[0].mode, Mode::audit);
  EXPECT_EQ(sink_.requests[1].mode, Mode::enforce);
}

// A reload may take out what an open connection dialled.
TEST_F(SessionTest, WhatIsGuardedNoMoreIsRefused) {
  for (auto const mode : {Mode::audit, Mode::enforce}) {
    sink_.requests.clear();
    Upstream upstream(answering(1));
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    serve(upstream, mode, {named("stranger")}, [&] {
      Peer peer(ends[0]);
      on_loop([&] { serve_tcp(ends[1], upstream.endpoint()); });
      peer.send(get("/latest/1"));
      EXPECT_EQ(read_answer(peer).second, "/latest/1");
      on_loop([&] { gateway_->reload(settings_, build_policies({})); });
      peer.send(get("/latest/2"));
      EXPECT_EQ(peer.read_to_end(), "");
    });
    ASSERT_EQ(sink_.requests.size(), 2u);
    EXPECT_EQ(sink_.requests[1].failure, Reason::not_guarded);
    EXPECT_EQ(sink_.requests[1].action, Action::block);
    loop_.restart();
  }
}

// On the UNIX socket the first endpoint answers: the one that there is when the request is decided on.
TEST_F(SessionTest, AReloadMovesTheUnixSocketToItsFirstEndpoint) {
  Upstream before(answering(1)), after(answering(1));
  serve(before, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1"));
    EXPECT_EQ(read_answer(peer).second, "/latest/1");
    PolicyChoices choices;
    choices.endpoints = {after.endpoint()};
    on_loop([&] { gateway_->reload(settings_, build_policies(choices)); });
    peer.send(get("/latest/2"));
    EXPECT_EQ(read_answer(peer).second, "/latest/2");
  });
  ASSERT_EQ(sink_.requests.size(), 2u);
  EXPECT_EQ(sink_.requests[1].flow.original, after.endpoint());
}

TEST_F(SessionTest, WhatIsNoRequestIsRefusedInBothModes) {
  for (auto const mode : {Mode::audit, Mode::enforce}) {
    sink_.requests.clear();
    Upstream upstream;
    serve(upstream, mode, {named("stranger")}, [&] {
      auto peer = Peer::connect_unix(path_);
      peer.send("GET / HTTP/1.1\nHost: x\n\n");
      auto const [status, body] = read_answer(peer);
      EXPECT_EQ(status, "HTTP/1.1 400 Bad Request");
      EXPECT_THAT(body, HasSubstr("\"reason\":\"bare_line_ending\""));
    });
    EXPECT_FALSE(upstream.somebody_waits());
    ASSERT_EQ(sink_.requests.size(), 1u);
    EXPECT_EQ(sink_.requests.front().failure, Reason::bare_line_ending);
    EXPECT_EQ(sink_.requests.front().action, Action::block);
    loop_.restart();
  }
}

TEST_F(SessionTest, AHeaderThatTakesTooLong) {
  settings_.limits.header_timeout = std::chrono::milliseconds(30);
  Upstream upstream;
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send("GET / HT");
    EXPECT_EQ(read_answer(peer).first, "HTTP/1.1 408 Request Timeout");
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().failure, Reason::header_timeout);
}

TEST_F(SessionTest, AnIdleConnectionIsClosedWithoutAWord) {
  settings_.idle_timeout = std::chrono::seconds(2);
  Upstream upstream(answering(1));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1"));
    EXPECT_EQ(read_answer(peer).second, "/latest/1");
    EXPECT_EQ(peer.read_to_end(), "");
  });
  EXPECT_EQ(sink_.requests.size(), 1u);
}

TEST_F(SessionTest, LimitsSayNoWithAnAnswer) {
  settings_.limits.connections = 1;
  Upstream upstream(answering(1));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto first = Peer::connect_unix(path_);
    first.send(get("/latest/1"));
    EXPECT_EQ(read_answer(first).first, "HTTP/1.1 200 OK");
    auto second = Peer::connect_unix(path_);
    EXPECT_EQ(read_answer(second).first, "HTTP/1.1 503 Service Unavailable");
  });
  ASSERT_EQ(sink_.requests.size(), 2u);
  EXPECT_EQ(sink_.requests[1].failure, Reason::limit_connections);
}

TEST_F(SessionTest, AUsersLimitIsOnlyThatUsers) {
  settings_.limits.connections_per_uid = 1;
  Upstream upstream(answering(1));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto first = Peer::connect_unix(path_);
    first.send(get("/latest/1"));
    EXPECT_EQ(read_answer(first).first, "HTTP/1.1 200 OK");
    auto second = Peer::connect_unix(path_);
    second.send(get("/latest/2"));
    EXPECT_EQ(read_answer(second).first, "HTTP/1.1 503 Service Unavailable");
  });
  ASSERT_EQ(sink_.requests.size(), 2u);
  EXPECT_EQ(sink_.requests[1].failure, Reason::limit_connections_per_uid);
}

TEST_F(SessionTest, ADeadServiceIsA502AndReported) {
  Upstream upstream([](Upstream &self) { self.accept().read_header(); });
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(get("/latest/1"));
    auto const [status, body] = read_answer(peer);
    EXPECT_EQ(status, "HTTP/1.1 502 Bad Gateway");
    EXPECT_THAT(body, HasSubstr("upstream_reset"));
  });
  ASSERT_EQ(sink_.requests.size(), 1u);
  EXPECT_EQ(sink_.requests.front().failure, Reason::upstream_reset);
  EXPECT_EQ(sink_.requests.front().status, 502);
}

TEST_F(SessionTest, ADrainKeepsNoConnection) {
  Upstream upstream(answering(1));
  serve(upstream, Mode::enforce, {named("stranger")}, [&] {
    auto peer = Peer::connect_unix(path_);
    for (bool there = false; !there;) on_loop([&] { there = gateway_->sessions() == 1; });
    on_loop([&] { gateway_->begin_drain(); });
    peer.send(get("/latest/1"));
    EXPECT_EQ(read_answer(peer).second, "/latest/1");
    EXPECT_EQ(peer.read_to_end(), "");
  });
}

}  // namespace
}  // namespace imdsgate
