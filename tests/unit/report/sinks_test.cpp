#include "report/sinks.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "report/ecs.hpp"
#include "sample_event.hpp"

namespace imdsgate {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace testing;

class SinksTest : public ::testing::Test {
 protected:
  SinksTest() {
    std::string name = (fs::temp_directory_path() / "imdsgate-sinks-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~SinksTest() override { fs::remove_all(directory_); }

  SinkOptions file(std::string const &name = "events.ndjson") const {
    SinkOptions options;
    options.type = SinkOptions::Type::file;
    options.path = directory_ / name;
    return options;
  }

  std::unique_ptr<Reporter> reporter(std::vector<SinkOptions> const &options) {
    auto opened = Reporter::open(options, sample_host(), metrics_, [this] { return now_; });
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().detail);
    return opened ? std::move(*opened) : nullptr;
  }

  std::vector<boost::json::value> lines(std::string const &name = "events.ndjson") const {
    std::vector<boost::json::value> out;
    std::ifstream stream(directory_ / name);
    for (std::string line; std::getline(stream, line);) out.push_back(boost::json::parse(line));
    return out;
  }

  // While the file is being written to: the last line may be there in part.
  std::ptrdiff_t ended_lines() const {
    std::ifstream stream(directory_ / "events.ndjson");
    return std::count(std::istreambuf_iterator<char>(stream), {}, '\n');
  }

  fs::path directory_;
  Metrics metrics_{"test"};
  std::chrono::steady_clock::time_point now_{1000s};
};

TEST_F(SinksTest, EventAndAlertLines) {
  auto alerts = file("alerts.ndjson");
  alerts.alerts_only = true;
  auto const sinks = reporter({file(), alerts});
  sinks->write(sample_event());
  sinks->write(blocked_event());
  LifecycleEvent started;
  sinks->write(started);
  ASSERT_TRUE(sinks->flush(5s));
  auto const all = lines();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(at(all[0], "event.kind"), "event");
  EXPECT_EQ(at(all[1], "event.kind"), "event");
  EXPECT_EQ(at(all[2], "event.kind"), "alert");
  EXPECT_EQ(at(all[2], "imdsgate.request_event_id"), at(all[1], "event.id"));
  EXPECT_EQ(at(all[3], "event.action"), "started");
  auto const only = lines("alerts.ndjson");
  ASSERT_EQ(only.size(), 1u);
  EXPECT_EQ(only[0], all[2]);
  EXPECT_EQ(metrics_.unattributed(Reason::no_holder), 0u);
}

// interfaces §4: in the file at most 200 ms after it happened, without anybody asking for a flush.
// Without a flush, a close or another event behind it. How soon is not for a test on a busy machine to say.
TEST_F(SinksTest, AnEventIsThereWithoutMoreComing) {
  auto const sinks = reporter({file()});
  for (int round = 0; round < 20; ++round) {
    auto const before = std::chrono::steady_clock::now();
    sinks->write(sample_event());
    while (ended_lines() < round + 1) {
      ASSERT_LT(std::chrono::steady_clock::now() - before, 20s);
      std::this_thread::yield();
    }
  }
}

TEST_F(SinksTest, FileIsNotForEverybodyAlsoAfterRotation) {
  { std::ofstream(directory_ / "events.ndjson") << ""; }
  fs::permissions(directory_ / "events.ndjson", fs::perms(0666));
  auto options = file();
  options.max_size = 8192;
  options.keep = 2;
  auto const sinks = reporter({options});
  for (int i = 0; i < 30; ++i) sinks->write(sample_event());
  ASSERT_TRUE(sinks->close(5s));
  int files = 0;
  for (auto const *name : {"events.ndjson", "events.1.ndjson", "events.2.ndjson"}) {
    struct stat status {};
    ASSERT_EQ(stat((directory_ / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0640u) << name;
    EXPECT_LE(status.st_size, 8192);
    EXPECT_FALSE(lines(name).empty());
    ++files;
  }
  EXPECT_FALSE(fs::exists(directory_ / "events.3.ndjson"));
  EXPECT_EQ(files, 3);
}

TEST_F(SinksTest, WhatCannotBeOpenedIsAnError) {
  mkfifo((directory_ / "fifo").c_str(), 0600);
  fs::create_symlink("/dev/null", directory_ / "link");
  fs::create_directory(directory_ / "directory");
  for (auto const *name : {"no/such/directory/x", "fifo", "link", "directory"}) {
    std::vector<SinkOptions> const options{file(name)};
    auto const opened = Reporter::open(options, sample_host(), metrics_);
    ASSERT_FALSE(opened) << name;
    EXPECT_NE(opened.error().detail.find(name), std::string::npos) << opened.error().detail;
  }
  SinkOptions remote;
  remote.type = SinkOptions::Type::syslog;
  remote.address = "udp:192.0.2.1:514";
  EXPECT_FALSE(AsyncSink::open(remote));
}

TEST_F(SinksTest, LogFileIsClosedOnExec) {
  auto const sinks = reporter({file()});
  sinks->write(sample_event());
  ASSERT_TRUE(sinks->flush(5s));
  int found = 0;
  for (auto const &entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone) != directory_ / "events.ndjson") continue;
    ++found;
    EXPECT_NE(fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(found, 1);
}

// A full disk costs the lines that did not fit, leaves no torn one, and is over when there is room again.
TEST_F(SinksTest, FullDiskIsCountedAndLeavesNoTornLine) {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "needs root: a file system of its own";
  }
  ASSERT_EQ(mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=64k"), 0);
  { std::ofstream(directory_ / "ballast") << std::string(40000, 'x'); }
  auto const sinks = reporter({file()});
  for (int i = 0; i < 40; ++i) sinks->write(sample_event());
  ASSERT_TRUE(sinks->flush(5s));
  auto const written = lines().size();  // parse() throws on a torn line
  auto const dropped = sinks->sinks()[0]->dropped();
  EXPECT_GT(written, 0u);
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(written + dropped, 40u);
  fs::remove(directory_ / "ballast");
  sinks->write(sample_event());
  ASSERT_TRUE(sinks->flush(5s));
  EXPECT_EQ(lines().size(), written + 1);
  sinks->tick();
  auto const text = metrics_.render();
  EXPECT_NE(text.find("imdsgate_events_dropped_total{sink=\"file:" + (directory_ / "events.ndjson").string() +
                      "\"} " + std::to_string(dropped)),
            std::string::npos);
  ASSERT_TRUE(sinks->close(5s));
  ASSERT_EQ(umount2(directory_.c_str(), MNT_DETACH), 0);
}

// A sink whose place does not take its lines costs its own lines and nobody else anything: the loop is not
// held up, and closing ends at the deadline. Nothing may be asserted while stdout is the full pipe: the
// failure could not be printed.
TEST_F(SinksTest, ABlockedSinkDropsCountsAndDoesNotHoldUp) {
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  SinkOptions standard_output;
  auto const sinks = reporter({standard_output, file()});
  std::size_t const count = AsyncSink::kQueue + 1000;
  auto const event = sample_event();
  auto const line = to_ecs(event, sample_host(), EventKind::event).size() + 1;
  std::fflush(stdout);
  int const saved = dup(STDOUT_FILENO);
  dup2(pipe_ends[1], STDOUT_FILENO);

  auto const limit = std::chrono::steady_clock::now() + 60s;
  bool in_time = true;
  for (std::size_t i = 1; i <= count; ++i) {
    sinks->write(event);
    // Not faster than the file can be written, so that only the blocked sink has a reason to drop.
    while ((i % 1000 == 0 || i == count) && fs::file_size(directory_ / "events.ndjson") < i * line &&
           in_time) {
      in_time = std::chrono::steady_clock::now() < limit;
      std::this_thread::yield();
    }
  }
  bool const flushed = sinks->flush(100ms);
  auto const overrun = sinks->sinks()[0]->dropped();
  auto const before = std::chrono::steady_clock::now();
  bool const closed = sinks->close(100ms);
  auto const took = std::chrono::steady_clock::now() - before;
  auto const dropped = sinks->sinks()[0]->dropped();

  // Take what the thread that was left behind still writes, so that it ends up nowhere else.
  std::vector<char> buffer(1 << 16);
  for (std::size_t seen = 0; seen < count - overrun;) {
    auto const size = read(pipe_ends[0], buffer.data(), buffer.size());
    if (size <= 0) break;
    seen += static_cast<std::size_t>(std::count(buffer.begin(), buffer.begin() + size, '\n'));
  }
  dup2(saved, STDOUT_FILENO);
  for (int const descriptor : {saved, pipe_ends[0], pipe_ends[1]}) ::close(descriptor);

  EXPECT_TRUE(in_time);
  EXPECT_FALSE(flushed);
  EXPECT_FALSE(closed);
  EXPECT_LT(took, 20s);
  EXPECT_GT(overrun, 0u);
  EXPECT_GT(dropped, AsyncSink::kQueue);
  EXPECT_EQ(sinks->sinks()[1]->dropped(), 0u);
  EXPECT_EQ(lines().size(), count);
}

TEST_F(SinksTest, AlertsAreHeldBackAndSummedUp) {
  auto const sinks = reporter({file()});
  auto rule = sample_rule();
  rule->max_alerts = 2;
  rule->interval = 1min;
  auto event = blocked_event();
  event.decision.findings = {rule_finding(Verdict::block, rule)};
  for (int i = 0; i < 5; ++i) sinks->write(event);
  ASSERT_TRUE(sinks->flush(5s));
  EXPECT_EQ(lines().size(), 7u);  // five requests, two alerts
  now_ += 1min;
  sinks->tick();
  ASSERT_TRUE(sinks->flush(5s));
  auto const all = lines();
  ASSERT_EQ(all.size(), 8u);
  EXPECT_EQ(at(all[7], "event.action"), "suppressed");
  EXPECT_EQ(at(all[7], "event.kind"), "alert");
  EXPECT_EQ(at(all[7], "imdsgate.suppressed_rule"), "unusual-imds-request");
  EXPECT_EQ(at(all[7], "imdsgate.suppressed_count"), "3");
  EXPECT_EQ(at(all[7], "imdsgate.suppressed_processes"), "1");
  EXPECT_NE(metrics_.render().find("imdsgate_alerts_suppressed_total{rule=\"unusual-imds-request\"} 3"),
            std::string::npos);
}

TEST_F(SinksTest, PartialAlertComesFirstAndTheFullOneStillFollows) {
  auto const sinks = reporter({file()});
  auto rule = sample_rule();
  rule->max_alerts = 1;
  auto event = blocked_event();
  event.action = Action::forward;
  event.decision.verdict = Verdict::alert;
  event.decision.findings = {rule_finding(Verdict::alert, rule)};
  auto early = event;
  early.partial = true;
  early.status = 0;
  sinks->write(early);
  sinks->write(event);
  ASSERT_TRUE(sinks->flush(5s));
  auto const all = lines();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(at(all[0], "imdsgate.partial"), true);
  EXPECT_EQ(at(all[1], "event.kind"), "event");
  EXPECT_EQ(at(all[2], "event.kind"), "alert");
  EXPECT_TRUE(at(all[2], "imdsgate.partial").is_null());
  EXPECT_NE(at(all[0], "event.id"), at(all[2], "event.id"));
}

TEST_F(SinksTest, ClosingSumsUpAndWritesEverything) {
  auto const sinks = reporter({file()});
  auto rule = sample_rule();
  rule->max_alerts = 1;
  auto event = blocked_event();
  event.decision.findings = {rule_finding(Verdict::block, rule)};
  for (int i = 0; i < 1000; ++i) sinks->write(event);
  ASSERT_TRUE(sinks->close(10s));
  auto const all = lines();
  ASSERT_EQ(all.size(), 1002u);
  EXPECT_EQ(at(all.back(), "imdsgate.suppressed_count"), "999");
}

// journald and syslog, each against a socket of our own in a mount namespace of our own.
class DatagramSinkTest : public SinksTest {
 protected:
  // An empty `mount_point` with a datagram socket at `path` below it.
  bool listen(std::string const &mount_point, std::string const &path) {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return false;
    if (mount("tmpfs", mount_point.c_str(), "tmpfs", 0, nullptr) != 0) return false;
    mount_point_ = mount_point;
    fs::create_directories(fs::path(path).parent_path());
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    timeval const limit{5, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return bind(socket_, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
  }
  std::string receive() const {
    std::string buffer(1 << 16, '\0');
    auto const size = recv(socket_, buffer.data(), buffer.size(), 0);
    return buffer.substr(0, size > 0 ? static_cast<std::size_t>(size) : 0);
  }
  ~DatagramSinkTest() override {
    if (socket_ >= 0) ::close(socket_);
    if (!mount_point_.empty()) umount2(mount_point_.c_str(), MNT_DETACH);
  }
  int socket_ = -1;
  std::string mount_point_;
};

TEST_F(DatagramSinkTest, Journal) {
  if (!listen("/run", "/run/systemd/journal/socket"))
    GTEST_SKIP() << "needs root: a mount namespace of its own";
  SinkOptions options;
  options.type = SinkOptions::Type::journald;
  auto const sinks = reporter({options});
  sinks->write(blocked_event());
  auto const event = receive(), alert = receive();
  EXPECT_NE(event.find("MESSAGE={\"@timestamp\""), std::string::npos) << event;
  EXPECT_NE(event.find("PRIORITY=6"), std::string::npos);
  EXPECT_NE(alert.find("PRIORITY=4"), std::string::npos);
  EXPECT_NE(alert.find("SYSLOG_IDENTIFIER=imdsgate"), std::string::npos);
  // The journal goes: counted, not silent.
  fs::remove("/run/systemd/journal/socket");
  sinks->write(sample_event());
  ASSERT_TRUE(sinks->flush(5s));
  EXPECT_EQ(sinks->sinks()[0]->dropped(), 1u);
  sinks->close(5s);
  EXPECT_FALSE(AsyncSink::open(options));
}

TEST_F(DatagramSinkTest, Syslog) {
  if (!listen("/dev", "/dev/log")) GTEST_SKIP() << "needs root: a mount namespace of its own";
  SinkOptions options;
  options.type = SinkOptions::Type::syslog;
  options.alerts_only = true;
  auto const sinks = reporter({options});
  EXPECT_FALSE(AsyncSink::open(options));  // the process has one
  sinks->write(blocked_event());
  auto const alert = receive();
  EXPECT_TRUE(alert.starts_with("<28>")) << alert;  // daemon, warning
  auto const json = alert.find(": {");
  ASSERT_NE(json, std::string::npos) << alert;
  EXPECT_NE(alert.find("imdsgate["), std::string::npos);
  EXPECT_EQ(at(boost::json::parse(alert.substr(json + 2)), "event.kind"), "alert");
  sinks->close(5s);
}

}  // namespace
}  // namespace imdsgate
