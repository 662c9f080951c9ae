// A load of a fixed number of GET requests on a fixed number of connections, and what each took. Connections
// are closed with a reset, so that no TIME_WAIT piles up.
//
//   load ADDRESS:PORT PATH --requests N --connections C [--keep-alive]
//
// Prints one line of JSON: p50, p99 in microseconds, requests a second, failures. A request's time is from
// connect (or, kept alive, from its sending) to the last byte of its answer.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string target = "127.0.0.1:80";
  std::string path = "/";
  unsigned requests = 1000;
  unsigned connections = 1;
  bool keep_alive = false;
};

struct Client {
  int fd = -1;
  bool connected = false;
  Clock::time_point started;
  std::string answer;
  std::size_t expected = 0;  // bytes of the whole answer, once its header is there
};

class Load {
 public:
  explicit Load(Options options);
  void run();
  void print() const;

 private:
  void open(Client &client);
  void start(Client &client);
  void close(Client &client);
  void on_event(Client &client, unsigned events);
  bool complete(Client &client);
  void finished(Client &client, bool failed);

  Options const options_;
  sockaddr_in address_{};
  std::string request_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients_;
  std::vector<double> microseconds_;
  unsigned started_ = 0, done_ = 0, failed_ = 0;
  double seconds_ = 0;
};

Load::Load(Options options) : options_(std::move(options)), clients_(options_.connections) {
  auto const colon = options_.target.rfind(':');
  address_.sin_family = AF_INET;
  address_.sin_port = htons(static_cast<std::uint16_t>(std::stoi(options_.target.substr(colon + 1))));
  if (::inet_pton(AF_INET, options_.target.substr(0, colon).c_str(), &address_.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + options_.target);
  }
  request_ = "GET " + options_.path + " HTTP/1.1\r\nHost: " + options_.target.substr(0, colon) + "\r\n\r\n";
  microseconds_.reserve(options_.requests);
}

void Load::open(Client &client) {
  client.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  linger const reset{1, 0};
  int const on = 1;
  ::setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = &client}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
  if (::connect(client.fd, reinterpret_cast<sockaddr *>(&address_), sizeof address_) != 0 &&
      errno != EINPROGRESS) {
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  }
}

void Load::start(Client &client) {
  if (started_ == options_.requests) return close(client);
  ++started_;
  client.started = Clock::now();
  client.answer.clear();
  client.expected = 0;
  if (client.fd < 0) return open(client);  // the request goes out when the connection is there
  if (::send(client.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) finished(client, true);
}

void Load::close(Client &client) {
  if (client.fd >= 0) ::close(client.fd);
  client.fd = -1;
  client.connected = false;
}

void Load::finished(Client &client, bool failed) {
  ++done_;
  failed_ += failed;
  microseconds_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - client.started).count());
  if (!options_.keep_alive || failed) close(client);
  start(client);
}

// Where the value begins; HAProxy writes names in lower case.
std::size_t content_length(std::string const &answer) {
  for (auto const *name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
    if (auto const found = answer.find(name); found != std::string::npos) return found + 18;
  }
  return std::string::npos;
}

bool Load::complete(Client &client) {
  if (client.expected == 0) {
    auto const end = client.answer.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    auto const value = content_length(client.answer);
    if (value == std::string::npos || value > end)
      throw std::runtime_error("an answer without Content-Length");
    client.expected = end + 4 + std::stoul(client.answer.substr(value));
  }
  return client.answer.size() >= client.expected;
}

void Load::on_event(Client &client, unsigned events) {
  if (client.fd < 0) return;
  if (!client.connected) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    client.connected = true;
    if (::send(client.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) finished(client, true);
    return;
  }
  char bytes[16384];
  for (;;) {
    auto const got = ::recv(client.fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return finished(client, true);
    client.answer.append(bytes, static_cast<std::size_t>(got));
    if (complete(client)) return finished(client, client.answer.compare(9, 3, "200") != 0);
  }
}

void Load::run() {
  auto const begin = Clock::now();
  for (auto &client : clients_) start(client);
  epoll_event events[64];
  while (done_ < options_.requests) {
    int const ready = ::epoll_wait(epoll_, events, 64, 10'000);
    if (ready == 0) throw std::runtime_error("no answer within ten seconds");
    for (int i = 0; i < ready; ++i) on_event(*static_cast<Client *>(events[i].data.ptr), events[i].events);
  }
  seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
}

void Load::print() const {
  auto sorted = microseconds_;
  std::sort(sorted.begin(), sorted.end());
  boost::json::object const line{{"p50", sorted[sorted.size() / 2]},
                                 {"p99", sorted[sorted.size() * 99 / 100]},
                                 {"rps", options_.requests / seconds_},
                                 {"failed", failed_}};
  std::cout << boost::json::serialize(line) << '\n';
}

}  // namespace

int main(int argc, char **argv) {
  CLI::App app("A fixed number of requests, timed");
  Options options;
  app.add_option("TARGET", options.target)->required();
  app.add_option("PATH", options.path)->required();
  app.add_option("--requests", options.requests);
  app.add_option("--connections", options.connections);
  app.add_flag("--keep-alive", options.keep_alive);
  CLI11_PARSE(app, argc, argv);
  try {
    Load load(options);
    load.run();
    load.print();
    return 0;
  } catch (std::exception const &error) {
    std::cerr << "load: " << error.what() << '\n';
    return 1;
  }
}
