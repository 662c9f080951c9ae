#include "gateway/older_connections.hpp"

#include <iostream>

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr auto kNameWithin = std::chrono::seconds(5);  // all of them together: what cannot be named is cut just so

Flow flow_of(TcpSocket const &socket) {
  Flow flow;
  flow.client = flow.local = socket.client;
  flow.original = socket.original;
  flow.accepted = std::chrono::system_clock::now();
  flow.accepted_steady = std::chrono::steady_clock::now();
  return flow;
}

void judge(RequestEvent &event, OlderConnection outcome) {
  Verdict verdict = Verdict::allow;
  switch (outcome) {
    case OlderConnection::found: break;
    case OlderConnection::destroyed: verdict = Verdict::block; break;
    case OlderConnection::kept: verdict = Verdict::alert; break;
  }
  event.older = outcome;
  event.action = verdict == Verdict::block ? Action::block : Action::forward;
  Finding finding;
  finding.verdict = verdict;
  finding.reason = Reason::older_connection;
  finding.name = name(Reason::older_connection);
  event.decision.verdict = verdict;
  event.decision.findings.push_back(std::move(finding));
}

}  // namespace

asio::awaitable<void> OlderConnections::look() {
  again_ = true;
  if (std::exchange(looking_, true)) co_return;
  while (std::exchange(again_, false)) co_await pass();
  looking_ = false;
}

asio::awaitable<void> OlderConnections::pass() {
  auto const work = [endpoints = parts_.gateway.snapshot().policy->endpoints,
                     port = parts_.listen_port]() -> Result<std::vector<TcpSocket>> {
    auto bypassing = Bypassing::open();
    if (!bypassing) return bypassing.error();
    return bypassing->list(endpoints, port);
  };
  auto const list = co_await run_on(parts_.worker, work);
  if (!list) {
    parts_.failed("whether connections older than the redirect go past it is not known: " + list.error().detail);
    co_return;
  }
  std::set<std::uint64_t> listed;
  for (auto const &socket : *list) listed.insert(socket.id.cookie);
  std::erase_if(told_, [&](std::uint64_t cookie) { return !listed.contains(cookie); });

  Tally tally;
  auto const name_until = std::chrono::steady_clock::now() + kNameWithin;
  for (auto const &socket : *list) {
    // Whoever is in the list and not the pool's now is a stranger, or gone.
    if (parts_.gateway.pool().owns(socket.client, socket.original) || told_of(socket)) continue;
    bool const in_time = std::chrono::steady_clock::now() < name_until;
    bool const was_there = co_await deal_with(socket, in_time, tally);
    if (was_there) told_.insert(socket.id.cookie);
  }
  if (tally.found + tally.destroyed + tally.kept == 0) co_return;
  std::cerr << "imdsgate: connections to guarded addresses that are older than the redirect: " << tally.destroyed
            << " destroyed, " << tally.found << " left as they are";
  if (tally.kept > 0) std::cerr << ", " << tally.kept << " that could not be destroyed (" << tally.why_kept << ')';
  std::cerr << std::endl;
}

bool OlderConnections::told_of(TcpSocket const &socket) {
  return !parts_.fenced() && told_.contains(socket.id.cookie);
}

asio::awaitable<bool> OlderConnections::deal_with(TcpSocket socket, bool name, Tally &tally) {
  Flow flow = flow_of(socket);
  parts_.gateway.parts().client_uid(flow, -1);  // for flow.socket
  if (!flow.socket || flow.socket->cookie != socket.id.cookie) co_return false;
  RequestEvent event = parts_.gateway.new_event(flow, parts_.gateway.mode());
  AttributionResult who = Unattributed{Reason::attribution_busy, "too many connections were to be named"};
  if (name) who = co_await parts_.gateway.parts().attributor.attribute(flow, 0);
  if (who) {
    event.attribution = *std::move(who);
  } else {
    event.unattributed = who.error().reason;
    event.failure_detail = who.error().detail;
  }
  event.mode = parts_.gateway.mode();
  if (!parts_.fenced()) {
    ++tally.found;
    judge(event, OlderConnection::found);
  } else if (auto const cut = parts_.cutter.cut(socket); !cut) {
    ++tally.kept;
    tally.why_kept = cut.error().detail;
    judge(event, OlderConnection::kept);
  } else if (*cut) {
    ++tally.destroyed;
    judge(event, OlderConnection::destroyed);
  } else {
    co_return false;
  }
  parts_.gateway.parts().sink.write(std::move(event));
  co_return true;
}

}  // namespace imdsgate
