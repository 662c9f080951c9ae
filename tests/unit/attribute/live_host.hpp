// A network namespace of the test's own with 169.254.169.254 on its loopback, a listener there, a prober
// beside it, and children that connect. All of it ends with the fixture.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "attribute/held_fd.hpp"
#include "attribute/prober_client.hpp"

namespace imdsgate::test {

// A forked process. `body` runs in it and never returns to the test; the child is killed and reaped at the
// end.
class Child {
 public:
  using Ready = std::function<void()>;  // the child calls it when what the test waits for has happened
  explicit Child(std::function<void(Ready)> const &body);
  Child(Child &&other) noexcept : pid_(std::exchange(other.pid_, 0)), ready_(std::move(other.ready_)) {}
  ~Child() { end(); }
  pid_t pid() const { return pid_; }
  // Until ready was called. A child that ended instead is a failure.
  void wait_ready();
  // Until what it exec'd waits for something: an exec closes descriptors before the kernel tells of it.
  void wait_exec();
  void end();  // killed and reaped

 private:
  pid_t pid_;
  HeldFd ready_;
};

[[noreturn]] void pause_forever();
// A child that has done `body` and waits for its end.
Child waiting(std::function<void()> const &body);
void become(uid_t uid, gid_t gid);  // all of the real, effective and saved ids; no supplementary groups
// fork(2) in a child; what is forked ends with it.
pid_t fork_with_me();
// `file` with two arguments and no descriptor closed but those marked so.
[[noreturn]] void run(std::string const &file, std::string const &argument);
void send_descriptor(int channel, int fd);  // in a child
int receive_descriptor(int channel);
int run_to_end(std::vector<std::string> const &command);

class TempDir {
 public:
  TempDir();
  ~TempDir();
  std::filesystem::path path;
  std::string copy(std::string const &program, std::string const &name) const;  // mode 0755
};

// A cgroup of the test's own below the root of the cgroup2 mount. Empty when there is no such mount.
class TestCgroup {
 public:
  TestCgroup();
  explicit TestCgroup(std::string const &below_root);
  ~TestCgroup();
  void add(pid_t pid) const;
  static void move(pid_t pid, std::string const &directory);
  static std::string root();
  std::string path;
};

class LiveHost : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  void start(ProberClientOptions options);  // again, with other options
  static ProberClientOptions patient();     // fork_prober, and deadlines no loaded machine misses

  // A connection as a child made it: connect_here() in the child, accept() in the test.
  int connect_here(int type_flags = 0) const;
  int connect_v6_mapped() const;
  Flow accept();  // the accepted socket stays open until the end of the test

  // The UNIX listener.
  int connect_unix() const;
  Flow accept_unix();

  AttributionResult attribute(Flow flow);
  std::vector<AttributionResult> attribute_all(std::vector<Flow> flows);  // at the same time
  // Runs the loop until `done`; a failure after a minute.
  void run_until(std::function<bool()> const &done);

  TempDir temp_;
  Endpoint service_;
  HeldFd listener_, unix_listener_;
  std::vector<HeldFd> accepted_;
  boost::asio::io_context io_;
  std::unique_ptr<ProberClient> client_;
};

inline std::string_view reason_of(AttributionResult const &result) {
  return result ? "named" : name(result.error().reason);
}
#define ASSERT_NAMED(result) ASSERT_TRUE(result) << reason_of(result) << ": " << (result).error().detail
#define EXPECT_NOBODY(result, why)                                                       \
  do {                                                                                   \
    auto const nobody_of = (result);                                                     \
    EXPECT_EQ(reason_of(nobody_of), name(why))                                           \
        << (nobody_of ? nobody_of->holders[0]->process.comm : nobody_of.error().detail); \
  } while (false)

}  // namespace imdsgate::test
