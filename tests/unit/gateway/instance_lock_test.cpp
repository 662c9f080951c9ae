#include "gateway/instance_lock.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

using namespace test;

TEST(InstanceLock, ASecondTakerIsToldWhoHoldsIt) {
  TemporaryDirectory const directory;
  {
    auto const first = InstanceLock::take(directory / "run/control.sock");
    ASSERT_TRUE(first) << first.error().detail;
    auto const second = InstanceLock::take(directory / "run/control.sock");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::refused);
    EXPECT_THAT(second.error().detail, testing::HasSubstr("(pid " + std::to_string(::getpid()) + ", "));
    EXPECT_TRUE(InstanceLock::take(directory / "other.sock")) << "another control socket is another instance";
  }
  EXPECT_TRUE(InstanceLock::take(directory / "run/control.sock"));
}

TEST(InstanceLock, IsReleasedByAnyDeath) {
  TemporaryDirectory const directory;
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  pid_t const child = ::fork();
  if (child == 0) {
    auto const lock = InstanceLock::take(directory / "c");
    char const taken = lock ? 'y' : 'n';
    if (::write(ready[1], &taken, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char taken = 0;
  EXPECT_EQ(::read(ready[0], &taken, 1), 1);
  EXPECT_EQ(taken, 'y');
  auto const refused = InstanceLock::take(directory / "c");
  EXPECT_FALSE(refused);
  if (!refused) {
    EXPECT_THAT(refused.error().detail, testing::HasSubstr("(pid " + std::to_string(child) + ", "));
  }
  ::kill(child, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(InstanceLock::take(directory / "c"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(InstanceLock, DoesNotFollowALink) {
  TemporaryDirectory const directory;
  std::filesystem::create_symlink(directory / "elsewhere", directory / "c.lock");
  EXPECT_FALSE(InstanceLock::take(directory / "c"));
  EXPECT_FALSE(std::filesystem::exists(directory / "elsewhere"));
}

}  // namespace
}  // namespace imdsgate
