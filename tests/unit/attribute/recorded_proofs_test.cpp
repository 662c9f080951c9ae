// A recorded executable is looked for once in a batch of events, and anew in the next.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "attribute/account_names.hpp"
#include "attribute/exe_proof.hpp"

namespace imdsgate {
namespace {

class RecordedProofsTest : public testing::Test {
 protected:
  RecordedProofsTest() {
    std::string pattern = (std::filesystem::canonical(testing::TempDir()) / "proofs-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~RecordedProofsTest() override { std::filesystem::remove_all(directory_); }
  std::string write(std::string const &name, std::string const &text) const {
    auto const path = directory_ / name;
    std::filesystem::remove(path);
    std::ofstream(path) << text;
    return path.string();
  }
  static KernelExec exec_of(std::string const &path) {
    auto const file = file_state(AT_FDCWD, path.c_str(), 0);
    struct stat space {};
    EXPECT_TRUE(file);
    EXPECT_EQ(::stat("/proc/self/ns/mnt", &space), 0);
    KernelExec exec;
    exec.path = path;
    exec.path_known = true;
    exec.executable = file->id;
    exec.links = file->links;
    exec.mount = file->mount;
    exec.mount_namespace = space.st_ino;
    return exec;
  }
  std::filesystem::path directory_;
};

TEST_F(RecordedProofsTest, AFileIsLookedForAnewInTheNextBatch) {
  auto const exec = exec_of(write("program", "one"));
  RecordedProofs proofs;
  ASSERT_TRUE(proofs.prove(exec));
  EXPECT_TRUE(proofs.prove(exec)->proven());
  // A file of the same name takes its place, while the first is kept so that its number is not taken again.
  std::filesystem::create_hard_link(exec.path, directory_ / "kept");
  write("program", "another");
  EXPECT_TRUE(proofs.prove(exec)) << "of the same batch";
  proofs.look_again();
  EXPECT_FALSE(proofs.prove(exec)) << "what is there now is another file";
}

TEST_F(RecordedProofsTest, AnotherFileOfTheSamePathIsNotTheFirst) {
  auto const first = exec_of(write("program", "one"));
  RecordedProofs proofs;
  ASSERT_TRUE(proofs.prove(first));
  auto other = first;
  ++other.executable.inode;
  EXPECT_FALSE(proofs.prove(other));
}

TEST_F(RecordedProofsTest, NamesAreReadAnewInTheNextBatch) {
  auto const passwd = write("passwd", "one:x:7:7::/:/bin/sh\n");
  AccountNames names(passwd, write("group", ""));
  EXPECT_EQ(names.user(7), "one");
  write("passwd", "another:x:7:7::/:/bin/sh\n");
  EXPECT_EQ(names.user(7), "one") << "of the same batch";
  names.look_again();
  EXPECT_EQ(names.user(7), "another");
}

}  // namespace
}  // namespace imdsgate
