#include "intercept/command.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>

#include "intercept/descriptor.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;

Command shell(std::string script) {
  return Command({"/bin/sh", "-c", std::move(script)});
}

TEST(Command, GivesInputAndTakesBothOutputs) {
  std::string const input(1 << 20, 'x');
  auto const output = shell("cat; echo oops >&2; exit 3").input(input).run();
  ASSERT_TRUE(output) << output.error().detail;
  EXPECT_EQ(output->out, input);
  EXPECT_EQ(output->err, "oops\n");
  EXPECT_EQ(output->exit_code, 3);
}

TEST(Command, AProgramThatDoesNotReadIsNoFailure) {
  auto const output = shell("exec true").input(std::string(1 << 22, 'x')).run();
  ASSERT_TRUE(output) << output.error().detail;
  EXPECT_EQ(output->exit_code, 0);
}

TEST(Command, SaysWhichSignal) {
  auto const output = shell("kill -9 $$").run();
  ASSERT_TRUE(output);
  EXPECT_EQ(output->exit_code, 137);
}

TEST(Command, KillsTheWholeGroupAtTheDeadline) {
  // The lock is held by the program's child, and comes free when that is gone, too.
  char path[] = "/tmp/imdsgate-command-XXXXXX";
  Descriptor const file(::mkostemp(path, O_CLOEXEC));
  ASSERT_TRUE(file);
  auto const output = shell(std::string("flock ") + path + " sleep 600 & wait").deadline(300ms).run();
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, Errc::timeout);
  EXPECT_EQ(::flock(file.get(), LOCK_EX), 0);
  ::unlink(path);
}

TEST(Command, DoesNotWaitForWhoeverStillHoldsItsOutput) {
  auto const output = shell("sleep 600 >&2 & echo $!").deadline(20s).run();
  ASSERT_TRUE(output) << output.error().detail;
  auto const pid = std::stoi(output->out);
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
}

TEST(Command, RefusesEndlessOutput) {
  auto const output = shell("exec cat /dev/zero").run();
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, Errc::refused);
}

TEST(Command, HasAFixedEnvironmentAndNoOtherDescriptor) {
  ASSERT_EQ(::setenv("LD_PRELOAD_OF_SOMEONE", "1", 1), 0);
  auto const environment = Command({"/usr/bin/env"}).run();
  ASSERT_TRUE(environment);
  EXPECT_EQ(environment->out, "PATH=/usr/sbin:/sbin:/usr/bin:/bin\nLC_ALL=C\n");
  Descriptor const open(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a library might
  auto const descriptors = Command({"/bin/ls", "/proc/self/fd"}).run();
  ASSERT_TRUE(descriptors);
  EXPECT_EQ(descriptors->out, "0\n1\n2\n3\n") << "3 is ls' own";
}

TEST(Command, AMissingProgramIsAnError) {
  auto const output = Command({"/nonexistent/iptables"}).run();
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().detail, ::testing::HasSubstr("No such file"));
  EXPECT_FALSE(find_program("surely-not-installed"));
}

}  // namespace
}  // namespace imdsgate
