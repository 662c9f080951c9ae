#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace imdsgate::test {

// Gone with everything in it when this is.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "imdsgate-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0755);  // other users' children of the test look in
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(TemporaryDirectory const &) = delete;
  TemporaryDirectory &operator=(TemporaryDirectory const &) = delete;
  std::string operator/(std::string const &name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// What `body` answers, run in a forked child: for what changes the whole process.
template <class Body>
int in_a_child(Body const &body) {
  pid_t const child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace imdsgate::test
