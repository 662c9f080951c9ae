#include "gateway/control.hpp"

#include <grp.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <vector>

#include "act/watchdog.hpp"

namespace imdsgate {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t kLineBytes = 4096;
constexpr unsigned kPeers = 32;
struct Places {};
constexpr auto kPeerIdle = std::chrono::seconds(10);

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

bool in_group(int fd, gid_t primary, gid_t wanted) {
  if (primary == wanted) return true;
  std::vector<gid_t> groups(64);
  socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) {
    if (errno != ERANGE) return false;
    groups.resize(size / sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
  }
  groups.resize(size / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), wanted) != groups.end();
}

std::optional<ControlPeer> authorise(int fd, std::optional<gid_t> group) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  ControlPeer peer{credentials.pid, credentials.uid, false, false};
  peer.changes = credentials.uid == 0;
  peer.reads = peer.changes || (group && in_group(fd, credentials.gid, *group));
  return peer;
}

json::object refused(std::string text) { return {{"ok", false}, {"error", std::move(text)}}; }

asio::awaitable<json::object> answer(json::object request, ControlCommands const &commands, ControlPeer peer) {
  auto const *command = request.if_contains("command");
  if (command == nullptr || !command->is_string()) co_return refused("no command");
  std::string_view const name(command->get_string());
  if (!peer.reads) co_return refused("uid " + std::to_string(peer.uid) + " may not use the control socket");
  json::object reply;
  if (name == "status") {
    reply = commands.status();
  } else if (name == "unknown_paths") {
    reply = commands.unknown_paths();
  } else if (name == "mode" && !request.contains("mode")) {
    reply["mode"] = to_string(commands.mode());
  } else if (!peer.changes) {
    co_return refused("only root may change the daemon");
  } else if (name == "mode") {
    auto const &wanted = request["mode"];
    if (wanted != "audit" && wanted != "enforce") co_return refused("mode is audit or enforce");
    reply = co_await commands.set_mode(wanted == "audit" ? Mode::audit : Mode::enforce, peer);
  } else if (name == "reload") {
    reply = co_await commands.reload(peer);
  } else {
    co_return refused("no such command");
  }
  reply["ok"] = !reply.contains("error");
  co_return reply;
}

// `place` is one of kPeers, held while the peer is served.
asio::awaitable<void> serve_peer(Connection connection, ControlCommands const &commands, ControlPeer peer,
                                 std::shared_ptr<Places const> /*place*/) {
  Watchdog watchdog(connection.socket().get_executor(), [&connection] {
    boost::system::error_code ignored;
    connection.socket().cancel(ignored);
  });
  for (;;) {
    watchdog.expires_after(kPeerIdle);
    auto const end = connection.buffered().find('\n');
    if (end == std::string_view::npos) {
      if (connection.buffered().size() > kLineBytes) break;
      auto const code = co_await connection.fill();
      if (code) break;
      continue;
    }
    watchdog.disarm();  // a command takes the time it takes: the firewall has its own deadline
    boost::system::error_code code;
    auto request = json::parse(connection.buffered().substr(0, end), code);
    connection.consume(end + 1);
    json::object reply = refused("not a JSON object");
    if (!code && request.is_object()) reply = co_await answer(request.as_object(), commands, peer);
    watchdog.expires_after(kPeerIdle);
    std::string const line = json::serialize(reply) + '\n';
    code = co_await connection.write(line);
    if (code) break;
  }
}

}  // namespace

std::optional<gid_t> group_id(std::string const &name) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> const file(std::fopen("/etc/group", "re"), &std::fclose);
  if (!file) return std::nullopt;
  group entry{};
  group *found = nullptr;
  std::vector<char> buffer(64u << 10);
  while (::fgetgrent_r(file.get(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    if (name == entry.gr_name) return entry.gr_gid;
  }
  return std::nullopt;
}

asio::awaitable<void> serve_control(Listener &listener, ControlCommands const &commands, std::optional<gid_t> group) {
  auto const places = std::make_shared<Places const>();  // and one more for each peer
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted) co_return;
    auto const peer = authorise(accepted->socket.native_handle(), group);
    if (!peer || places.use_count() > kPeers) continue;  // dropping it closes it
    auto const executor = accepted->socket.get_executor();
    asio::co_spawn(executor, serve_peer(Connection(std::move(accepted->socket)), commands, *peer, places), asio::detached);
  }
}

}  // namespace imdsgate
