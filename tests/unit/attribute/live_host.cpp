#include "live_host.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstring>
#include <fstream>

#include "attribute/proc_parse.hpp"
#include "model/address.hpp"

extern char **environ;

namespace imdsgate::test {
namespace {

using namespace std::chrono_literals;

sockaddr_in service_address(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "169.254.169.254", &address.sin_addr);
  return address;
}

Endpoint endpoint_of(sockaddr_in const &address) {
  std::array<std::uint8_t, 4> four{};
  std::memcpy(four.data(), &address.sin_addr, four.size());
  return {Address::from_v4(four), ntohs(address.sin_port)};
}

void die_unless(bool good, char const *what) {
  if (good) return;
  std::perror(what);
  ::_exit(99);
}

void loopback_up() {
  HeldFd const socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  ASSERT_EQ(::ioctl(socket.get(), SIOCGIFFLAGS, &request), 0);
  request.ifr_flags |= IFF_UP;
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
  std::strcpy(request.ifr_name, "lo:1");
  auto const address = service_address(0);
  std::memcpy(&request.ifr_addr, &address, sizeof address);
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFADDR, &request), 0);
}

}  // namespace

Child::Child(std::function<void(Ready)> const &body) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(pipe[0]);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body([fd = pipe[1]] {
      char const byte = 'r';
      die_unless(::write(fd, &byte, 1) == 1, "ready");
      ::close(fd);
    });
    ::_exit(98);
  }
  ::close(pipe[1]);
  ready_.reset(pipe[0]);
}

Child waiting(std::function<void()> const &body) {
  Child child([&](auto ready) {
    body();
    ready();
    pause_forever();
  });
  child.wait_ready();
  return child;
}

void Child::wait_ready() {
  char byte = 0;
  while (::read(ready_.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT), 0);
  ASSERT_EQ(info.si_pid, 0) << "the child ended with " << info.si_status;
}

void Child::wait_exec() {
  wait_ready();  // the pipe is closed in the middle of the exec
  auto const path = "/proc/" + std::to_string(pid_) + "/stat";
  auto const until = std::chrono::steady_clock::now() + 30s;
  for (;;) {
    std::ifstream file(path);
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    auto const name_end = text.rfind(')');
    ASSERT_NE(name_end, std::string::npos) << "the child has ended";
    char const state = text[name_end + 2];
    if (state == 'S' || state == 't') return;  // execve(2) itself waits in no such way
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "its state is still " << state;
    ::sched_yield();
  }
}

void Child::end() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void pause_forever() {
  for (;;) ::pause();
}

void become(uid_t uid, gid_t gid) {
  die_unless(
      ::setgroups(0, nullptr) == 0 && ::setresgid(gid, gid, gid) == 0 && ::setresuid(uid, uid, uid) == 0,
      "become");
}

pid_t fork_with_me() {
  auto const pid = ::fork();
  if (pid == 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return pid;
}

void run(std::string const &file, std::string const &argument) {
  ::execl(file.c_str(), file.c_str(), argument.c_str(), static_cast<char *>(nullptr));
  die_unless(false, file.c_str());
  ::_exit(99);
}

void send_descriptor(int channel, int fd) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  auto *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (::sendmsg(channel, &message, 0) != 1) ::_exit(97);
}

int receive_descriptor(int channel) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(channel, &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) ::_exit(97);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

int run_to_end(std::vector<std::string> const &command) {
  std::vector<char *> arguments;
  for (auto const &word : command) arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawnp(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) return -1;
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

TempDir::TempDir() {
  auto name = (std::filesystem::temp_directory_path() / "attribute-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
  path = name;
  std::filesystem::permissions(path, std::filesystem::perms(0755));
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string TempDir::copy(std::string const &program, std::string const &name) const {
  auto const target = path / name;
  std::filesystem::copy_file(std::filesystem::canonical(program), target);
  std::filesystem::permissions(target, std::filesystem::perms(0755));
  return target.string();
}

std::string TestCgroup::root() {
  std::ifstream file("/proc/self/mountinfo");
  std::string const text{std::istreambuf_iterator<char>(file), {}};
  for (auto const &mount : parse_mountinfo(text)) {
    if (mount.type == "cgroup2" && mount.root == "/") return mount.mount_point;
  }
  return "";
}

TestCgroup::TestCgroup() {
  static int count = 0;
  auto const above = root();
  if (above.empty()) return;
  path = above + "/attribute-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  std::filesystem::create_directory(path);
}

TestCgroup::TestCgroup(std::string const &below_root) {
  if (root().empty()) return;
  path = root() + "/" + below_root;
  std::filesystem::create_directories(path);
}

TestCgroup::~TestCgroup() {
  if (path.empty()) return;
  // Members that were just killed leave it when they are reaped, which their Child has done or does after us.
  std::ifstream members(path + "/cgroup.procs");
  for (pid_t pid = 0; members >> pid;) move(pid, root());
  auto const above = root();  // and what was made above it, unless another is there
  for (std::filesystem::path each = path; each != above && ::rmdir(each.c_str()) == 0;) each = each.parent_path();
}

void TestCgroup::add(pid_t pid) const {
  move(pid, path);
}

void TestCgroup::move(pid_t pid, std::string const &directory) {
  std::ofstream(directory + "/cgroup.procs") << pid << std::flush;
}

ProberClientOptions LiveHost::patient() {
  ProberClientOptions options;
  options.deadline = 5s;
  options.pool.start = fork_prober;
  return options;
}

void LiveHost::SetUp() {
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
  loopback_up();
  auto address = service_address(80);
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener_.get(), 64), 0);
  service_ = endpoint_of(address);

  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::strcpy(local.sun_path, (temp_.path / "imds.sock").c_str());
  unix_listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ASSERT_EQ(::bind(unix_listener_.get(), reinterpret_cast<sockaddr *>(&local), sizeof local), 0);
  ASSERT_EQ(::listen(unix_listener_.get(), 64), 0);
  std::filesystem::permissions(local.sun_path, std::filesystem::perms(0777));
  start(patient());
}

void LiveHost::TearDown() {
  if (client_) client_->close();
  io_.restart();
  io_.poll();
}

void LiveHost::start(ProberClientOptions options) {
  if (client_) client_->close();
  io_.restart();
  io_.poll();
  auto client = ProberClient::spawn(io_.get_executor(), std::move(options));
  ASSERT_TRUE(client) << client.error().detail;
  client_ = std::move(*client);
}

int LiveHost::connect_here(int type_flags) const {
  int const fd = ::socket(AF_INET, SOCK_STREAM | type_flags, 0);
  auto address = service_address(80);
  die_unless(fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0,
             "connect");
  return fd;
}

int LiveHost::connect_v6_mapped() const {
  int const fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(80);
  inet_pton(AF_INET6, "::ffff:169.254.169.254", &address.sin6_addr);
  die_unless(fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0,
             "connect");
  return fd;
}

Flow LiveHost::accept() {
  pollfd poll{listener_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 60000), 1) << "nobody connected within a minute";
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  int const fd = ::accept4(listener_.get(), reinterpret_cast<sockaddr *>(&peer), &size, SOCK_CLOEXEC);
  EXPECT_GE(fd, 0);
  accepted_.emplace_back(fd);
  Flow flow;
  flow.client = endpoint_of(peer);
  flow.original = flow.local = service_;
  flow.accepted = std::chrono::system_clock::now();
  flow.accepted_steady = std::chrono::steady_clock::now();
  return flow;
}

int LiveHost::connect_unix() const {
  int const fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::strcpy(local.sun_path, (temp_.path / "imds.sock").c_str());
  die_unless(fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr *>(&local), sizeof local) == 0, "connect");
  return fd;
}

Flow LiveHost::accept_unix() {
  pollfd poll{unix_listener_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 60000), 1) << "nobody connected within a minute";
  accepted_.emplace_back(::accept4(unix_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  Flow flow;
  flow.transport = Transport::unix_socket;
  flow.unix_fd = accepted_.back().get();
  flow.original = service_;
  flow.accepted = std::chrono::system_clock::now();
  return flow;
}

AttributionResult LiveHost::attribute(Flow flow) {
  return attribute_all({std::move(flow)}).front();
}

std::vector<AttributionResult> LiveHost::attribute_all(std::vector<Flow> flows) {
  std::vector<AttributionResult> results(flows.size(),
                                         Unattributed{Reason::attribution_timeout, "never answered"});
  std::size_t left = flows.size();
  for (std::size_t i = 0; i < flows.size(); ++i) {
    boost::asio::co_spawn(io_, client_->attribute(flows[i], 0),
                          [&, i](std::exception_ptr, AttributionResult result) {
                            results[i] = std::move(result);
                            --left;
                          });
  }
  run_until([&] { return left == 0; });
  return results;
}

void LiveHost::run_until(std::function<bool()> const &done) {
  auto const limit = std::chrono::steady_clock::now() + 60s;
  io_.restart();
  while (!done() && std::chrono::steady_clock::now() < limit) io_.run_one_for(50ms);
  EXPECT_TRUE(done()) << "within a minute";
}

}  // namespace imdsgate::test
