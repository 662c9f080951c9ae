#include "model/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Process process(std::string path, std::string comm, std::vector<std::string> args) {
  Process process;
  process.executable = Executable{std::move(path), false, std::nullopt};
  process.comm = std::move(comm);
  process.args = std::move(args);
  return process;
}

TEST(Claims, AnAppletBehindALinkGoesByTheLinksName) {
  auto const wget = process("/usr/bin/busybox", "wget", {"./wget", "-q"});
  EXPECT_THAT(claimed_names(wget), ElementsAre("busybox", "wget"));
  EXPECT_THAT(claimed_executables(wget), ElementsAre("/usr/bin/busybox", "./wget"));
}

TEST(Claims, ALoginShellsDashIsNoPartOfItsName) {
  EXPECT_THAT(claimed_names(process("/usr/bin/bash", "bash", {"-bash"})), ElementsAre("bash"));
}

TEST(Claims, AScriptIsAnExecutableBesideItsInterpreter) {
  auto const plain =
      process("/usr/bin/bash", "collect-metadat", {"/bin/bash", "/tmp/collect-metadata.sh", "x"});
  EXPECT_THAT(claimed_executables(plain),
              ElementsAre("/usr/bin/bash", "/bin/bash", "/tmp/collect-metadata.sh"));
  auto const with_option = process("/usr/bin/perl", "a.pl", {"/usr/bin/perl", "-w", "./a.pl"});
  EXPECT_THAT(claimed_executables(with_option), ElementsAre("/usr/bin/perl", "./a.pl"));
}

TEST(Claims, WhatItWasExecdAsCountsWhateverItSaysOfItself) {
  auto renamed = process("/usr/bin/nc.openbsd", "innocent", {"innocent"});
  renamed.executed_as = "/etc/alternatives/nc";
  EXPECT_THAT(claimed_names(renamed), ElementsAre("nc.openbsd", "nc", "innocent"));
  EXPECT_THAT(claimed_executables(renamed), ElementsAre("/usr/bin/nc.openbsd", "/etc/alternatives/nc"));
}

TEST(Claims, AnArgumentIsNoScript) {
  EXPECT_THAT(claimed_executables(process("/usr/bin/cat", "cat", {"cat", "/tmp/cat"})),
              ElementsAre("/usr/bin/cat"));
  EXPECT_THAT(claimed_executables(process("/usr/bin/vi", "vi", {"vi", "a", "b", "/tmp/vi"})),
              ElementsAre("/usr/bin/vi"));
}

TEST(Claims, WhatAnExecEventRecordedCannotBeErased) {
  auto now = process("/usr/bin/python3.11", "innocent", {"innocent"});
  now.at_exec =
      std::make_shared<Process>(process("/usr/bin/python3.11", "x.py", {"/usr/bin/python3", "/tmp/x.py"}));
  EXPECT_THAT(claimed_names(now), ElementsAre("python3.11", "innocent", "python3", "x.py"));
  EXPECT_THAT(claimed_executables(now), ElementsAre("/usr/bin/python3.11", "/usr/bin/python3", "/tmp/x.py"));
}

TEST(Claims, NothingIsMadeUp) {
  EXPECT_THAT(claimed_names(Process{}), IsEmpty());
  EXPECT_THAT(claimed_executables(Process{}), IsEmpty());
}

}  // namespace
}  // namespace imdsgate
