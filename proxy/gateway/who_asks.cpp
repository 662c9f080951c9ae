#include "gateway/who_asks.hpp"

#include <sys/socket.h>

#include <iostream>

namespace imdsgate {
namespace {

constexpr auto kBeyond = static_cast<uid_t>(-1);  // nobody's: chown(2) and setuid(2) take it for "as it is"
constexpr auto kForgetAfter = std::chrono::minutes(1);  // longer than anybody waits to be accepted

std::optional<uid_t> peer_uid(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return credentials.uid;
}

}  // namespace

WhoAsks::WhoAsks(Settings const &settings, Parts parts)
    : parts_(std::move(parts)), proven_file_(settings.control_socket + ".proven") {
  if (!settings.container_runtime) return;
  containers_.emplace(parts_.loop, settings.container_api, *settings.container_runtime);
  containers_->on_failure = [](std::string const &why) {
    std::cerr << "imdsgate: what a container is cannot be asked: " << why << std::endl;
  };
}

Result<std::unique_ptr<WhoAsks>> WhoAsks::open(Settings const &settings, HostInfo host, Result<ExecQueue> queue,
                                               Parts parts) {
  std::unique_ptr<WhoAsks> made(new WhoAsks(settings, std::move(parts)));
  auto sockets = ClientSockets::open();
  if (!sockets) return sockets.error();
  made->sockets_.emplace(*std::move(sockets));
  if (auto opened = made->open_prober(); !opened) return opened.error();
  auto tier = AttributionTier::choose(settings, *made->prober_);
  if (!tier) return tier.error();
  made->tier_.emplace(*std::move(tier));
  auto const tracker_replaced = [&of = made->parts_](std::string const &why) {
    of.metrics.count_prober_replaced();
    of.on_replaced(why, false);
  };
  auto feed = ExecFeed::open(std::move(queue),
                             {made->parts_.loop, *made->prober_, made->parts_.metrics, tracker_replaced});
  if (!feed) return feed.error();
  made->exec_feed_ = *std::move(feed);
  if (auto *bpf = made->tier_->bpf()) bpf->hear_of_execs(made->exec_feed_->events());
  made->execs_.emplace(made->exec_feed_->events(), std::move(host));
  return made;
}

Result<void> WhoAsks::open_prober() {
  auto prober = ProberClient::spawn(parts_.loop, {});
  if (!prober) return prober.error();
  prober_ = *std::move(prober);
  if (auto proven = proven_file_.read()) {
    prober_->proven() = *std::move(proven);
  } else {
    std::cerr << "imdsgate: what was proven before is not known: " << proven.error().detail << '\n';
  }
  prober_->on_replaced([this](std::string const &why) {
    parts_.metrics.count_prober_replaced();
    parts_.on_replaced(why, prober_->prober_pid() == 0);
  });
  return {};
}

void WhoAsks::note_dial_times() {
  if (exec_feed_->events() == nullptr) return;  // nobody is told of execs
  if (auto const noted = sockets_->note_times(); !noted) {
    std::cerr << "imdsgate: an exec between connecting and accept() is not seen: " << noted.error().detail << '\n';
  }
}

std::optional<uid_t> WhoAsks::client_uid(Flow &flow, int accepted) {
  if (flow.transport == Transport::unix_socket) return peer_uid(flow.unix_fd);
  bool const recorded = tier_->bpf() != nullptr && accepted >= 0 && tier_->bpf()->recognise(flow, accepted);
  if (!flow.bridge.empty()) return kBeyond;
  if (!recorded) sockets_->look_up(flow);
  return flow.socket ? std::optional(flow.socket->uid) : std::nullopt;
}

bool WhoAsks::client_alive(Flow const &flow) {
  if (!flow.bridge.empty()) {
    return tier_->bpf() != nullptr && tier_->bpf()->open_at_client(flow);
  }
  return flow.transport == Transport::unix_socket || sockets_->open_at_client(flow);
}

void WhoAsks::tick() {
  if (tier_->bpf() != nullptr) tier_->bpf()->connections().forget_closed(kForgetAfter);
}

boost::asio::awaitable<void> WhoAsks::write_proven(Worker &worker) {
  auto const written = co_await proven_file_.write(prober_->proven(), worker);
  if (written) co_return;
  std::cerr << "imdsgate: what was proven will not be known after a restart: " << written.error().detail << std::endl;
}

void WhoAsks::close() {
  exec_feed_->close();
  prober_->close();
}

}  // namespace imdsgate
