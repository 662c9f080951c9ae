// Over a real socket, because who may do what is what the kernel says of the other end.
#include "gateway/control.hpp"

#include <fcntl.h>
#include <grp.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <future>
#include <thread>

#include "unit/act/peer.hpp"
#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

using namespace test;
namespace json = boost::json;

constexpr uid_t kStranger = 54321;
constexpr gid_t kReaders = 54322;

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    commands_.status = [] { return json::object{{"version", "x"}}; };
    commands_.unknown_paths = [] { return json::object{{"paths", json::array{}}}; };
    commands_.mode = [this] { return mode_; };
    commands_.set_mode = [this](Mode mode, ControlPeer peer) { return set_mode(mode, peer); };
    commands_.reload = [this](std::optional<ControlPeer> peer) { return reload(peer); };
    listener_ = std::move(Listener::open_unix(loop_.get_executor(), path_).value());
  }

  boost::asio::awaitable<json::object> set_mode(Mode mode, ControlPeer peer) {
    mode_ = mode;
    changed_by_ = peer;
    json::object reply;
    reply["mode"] = to_string(mode);
    co_return reply;
  }
  boost::asio::awaitable<json::object> reload(std::optional<ControlPeer>) {
    json::object reply;
    reply["error"] = "the file is broken";
    co_return reply;
  }

  // Serves until `client`, on a thread of its own, is through.
  template <class Client>
  void serve(Client client) {
    boost::asio::co_spawn(loop_, serve_control(*listener_, commands_, kReaders), boost::asio::detached);
    std::jthread const thread([&] {
      client();
      boost::asio::post(loop_, [this] { listener_->close(); });
    });
    loop_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(loop_.stopped()) << "somebody is still being served";
  }

  // The daemon's replies to another user, each on a line.
  std::string replies_to_a_stranger(std::vector<gid_t> const &groups) {
    int replies[2];
    EXPECT_EQ(::pipe2(replies, O_CLOEXEC), 0);
    pid_t const child = ::fork();
    if (child == 0) {
      bool const changed = ::setgroups(groups.size(), groups.data()) == 0 &&
                           ::setresgid(kStranger, kStranger, kStranger) == 0 &&
                           ::setresuid(kStranger, kStranger, kStranger) == 0;
      if (!changed) ::_exit(1);
      for (auto const line :
           {R"({"command":"status"})", R"({"command":"mode"})", R"({"command":"mode","mode":"enforce"})",
            R"({"command":"reload"})", R"({"command":"x"})"}) {
        auto const reply = ask_daemon(path_, json::parse(line).as_object());
        std::string const text = (reply ? json::serialize(*reply) : reply.error().detail) + '\n';
        if (::write(replies[1], text.data(), text.size()) < 0) ::_exit(2);
      }
      ::_exit(0);
    }
    ::close(replies[1]);
    std::string all;
    serve([&] {
      char bytes[4096];
      for (ssize_t got = 0; (got = ::read(replies[0], bytes, sizeof bytes)) > 0;)
        all.append(bytes, static_cast<std::size_t>(got));
    });
    ::close(replies[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return all;
  }

  TemporaryDirectory directory_;
  std::string const path_ = directory_ / "control.sock";
  boost::asio::io_context loop_{1};
  std::unique_ptr<Listener> listener_;
  Mode mode_ = Mode::audit;
  std::optional<ControlPeer> changed_by_;
  ControlCommands commands_;
};

TEST_F(ControlTest, RootAsksAndChanges) {
  serve([&] {
    auto peer = Peer::connect_unix(path_);
    std::pair<std::string, std::string> const cases[] = {
        {R"({"command":"status"})", R"({"version":"x","ok":true})"},
        {R"({"command":"unknown_paths"})", R"({"paths":[],"ok":true})"},
        {R"({"command":"mode"})", R"({"mode":"audit","ok":true})"},
        {R"({"command":"mode","mode":"enforce"})", R"({"mode":"enforce","ok":true})"},
        {R"({"command":"mode"})", R"({"mode":"enforce","ok":true})"},
        {R"({"command":"mode","mode":"loud"})", R"({"ok":false,"error":"mode is audit or enforce"})"},
        {R"({"command":"mode","mode":null})", R"({"ok":false,"error":"mode is audit or enforce"})"},
        {R"({"command":"reload"})", R"({"error":"the file is broken","ok":false})"},
        {R"({"command":"dance"})", R"({"ok":false,"error":"no such command"})"},
        {R"({"command":7})", R"({"ok":false,"error":"no command"})"},
        {R"({})", R"({"ok":false,"error":"no command"})"},
        {R"([])", R"({"ok":false,"error":"not a JSON object"})"},
        {"hello", R"({"ok":false,"error":"not a JSON object"})"},
        {"", R"({"ok":false,"error":"not a JSON object"})"},
    };
    for (auto const &[line, reply] : cases) {
      peer.send(line + '\n');
      EXPECT_EQ(json::parse(peer.read_until("\n")), json::parse(reply)) << line;
    }
    peer.send("{\"command\":\"mode\"}\n{\"command\":\"mode\"}\n");  // both in one write
    for (int i = 0; i < 2; ++i) EXPECT_NE(peer.read_until("\n").find("enforce"), std::string::npos);
  });
  ASSERT_TRUE(changed_by_);
  EXPECT_EQ(changed_by_->uid, 0u);
  EXPECT_EQ(changed_by_->pid, ::getpid());
}

TEST_F(ControlTest, ALineWithoutEndIsCutOff) {
  serve([&] {
    auto peer = Peer::connect_unix(path_);
    peer.send(std::string(20'000, 'x'));
    EXPECT_EQ(peer.read_to_end(), "");
  });
}

TEST_F(ControlTest, AStrangerMayDoNothing) {
  std::string const no = R"({"ok":false,"error":"uid 54321 may not use the control socket"})"
                         "\n";
  EXPECT_EQ(replies_to_a_stranger({}), no + no + no + no + no);
  EXPECT_EQ(mode_, Mode::audit);
}

TEST_F(ControlTest, TheGroupReadsAndChangesNothing) {
  std::string const no = R"({"ok":false,"error":"only root may change the daemon"})"
                         "\n";
  std::vector<gid_t> many;  // more than the first look has room for
  for (gid_t group = 60000; group < 60100; ++group) many.push_back(group);
  many.push_back(kReaders);
  EXPECT_EQ(replies_to_a_stranger(many), R"({"version":"x","ok":true})"
                                         "\n"
                                         R"({"mode":"audit","ok":true})"
                                         "\n" +
                                             no + no + no);
  EXPECT_EQ(mode_, Mode::audit);
}

TEST_F(ControlTest, PlacesAreGivenBack) {
  serve([&] {
    for (int round = 0; round < 3; ++round) {
      std::vector<Peer> peers;
      for (int i = 0; i < 32; ++i) {
        peers.push_back(Peer::connect_unix(path_));
        peers.back().send("{\"command\":\"mode\"}\n");
        EXPECT_NE(peers.back().read_until("\n").find("audit"), std::string::npos)
            << "round " << round << ", peer " << i;
      }
      auto one_too_many = Peer::connect_unix(path_);
      EXPECT_EQ(one_too_many.read_to_end(), "");
      peers.clear();
      // Their ends are seen before what is posted behind them runs; one more turn and their places are free.
      std::promise<void> turned;
      boost::asio::post(loop_, [&] { boost::asio::post(loop_, [&] { turned.set_value(); }); });
      turned.get_future().get();
    }
  });
}

TEST(Control, GroupsAreThoseOfTheFile) {
  EXPECT_EQ(group_id("root"), gid_t{0});
  EXPECT_FALSE(group_id("no-such-group-here"));
  EXPECT_FALSE(group_id(""));
}

TEST(Control, NobodyAnswers) {
  auto const reply = ask_daemon("/nonexistent/control.sock", {{"command", "status"}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::not_found);
}

}  // namespace
}  // namespace imdsgate
