#include "bpf_host.hpp"

#include <poll.h>

#include <boost/asio/co_spawn.hpp>
#include <cstring>

namespace imdsgate::test {

void BpfHost::SetUp() {
  LiveHost::SetUp();
  auto sockets = ClientSockets::open();
  ASSERT_TRUE(sockets) << sockets.error().detail;
  sockets_.emplace(std::move(*sockets));
  load();
}

void BpfHost::load() {
  bpf_.reset();
  auto connections = BpfConnections::load({service_});
  if (!connections) GTEST_SKIP() << "BPF does not load: " << connections.error().detail;
  BpfAttributorOptions options;  // with times no loaded machine misses
  options.within = std::chrono::seconds(10);
  options.describe_again = std::chrono::hours(1);
  options.counted_soon = options.counted_within = std::chrono::seconds(2);
  bpf_ = std::make_unique<BpfAttributor>(*client_, std::move(*connections), options);
}

void BpfHost::TearDown() {
  LiveHost::TearDown();
  bpf_.reset();
}

sockaddr_in BpfHost::service_address() const {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(service_.port);
  auto const four = service_.address.v4();
  std::memcpy(&address.sin_addr, four.data(), four.size());
  return address;
}

int BpfHost::connect_from(std::uint16_t port) const {
  int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
  int const one = 1;
  linger const reset{1, 0};
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_port = htons(port);
  sockaddr_in const address = service_address();
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (::bind(fd, reinterpret_cast<sockaddr *>(&source), sizeof source) != 0 ||
      ::connect(fd, reinterpret_cast<sockaddr const *>(&address), sizeof address) != 0) {
    ::_exit(97);
  }
  return fd;
}

Flow BpfHost::accept_known() {
  flow_ = accept();
  bool const recorded = bpf_->recognise(flow_, accepted_.back().get());
  if (!recorded) sockets_->look_up(flow_);
  return flow_;
}

void BpfHost::receive(std::size_t bytes) {
  for (std::size_t had = 0; had < bytes;) {
    pollfd poll{accepted_.back().get(), POLLIN, 0};
    ASSERT_EQ(::poll(&poll, 1, 60000), 1) << "nothing came within a minute";
    char buffer[4096];
    auto const got = ::recv(accepted_.back().get(), buffer, std::min(sizeof buffer, bytes - had), 0);
    ASSERT_GT(got, 0) << "after " << had << " bytes";
    had += static_cast<std::size_t>(got);
  }
}

AttributionResult BpfHost::ask(Flow flow, std::uint64_t received) {
  AttributionResult result = Unattributed{Reason::attribution_timeout, "never answered"};
  bool done = false;
  boost::asio::co_spawn(io_, bpf_->attribute(std::move(flow), received),
                        [&](std::exception_ptr, AttributionResult answer) {
                          result = std::move(answer);
                          done = true;
                        });
  run_until([&] { return done; });
  return result;
}

AttributionResult BpfHost::named_after(std::size_t bytes) {
  accept_known();
  receive(bytes);
  return ask(flow_, bytes);
}

}  // namespace imdsgate::test
