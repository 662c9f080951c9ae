// Runs verify.sh beside it; a gtest so that it is registered like every other unit test.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

namespace {

TEST(Systemd, UnitsAreVerified) {
  std::string script = SOURCE_DIR "/tests/unit/systemd/verify.sh", source = SOURCE_DIR, bash = "bash";
  char *arguments[] = {bash.data(), script.data(), source.data(), nullptr};
  pid_t child = 0;
  ASSERT_EQ(posix_spawnp(&child, "bash", nullptr, nullptr, arguments, environ), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "systemd's tools are not there";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
