// The file that lets what was proven outlive the daemon: believed only when nobody else can have written it.
#include "gateway/proven_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <functional>

#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

class ProvenFileTest : public testing::Test {
 protected:
  // Of this process, which will be there when the file is written.
  void write() {
    Process process;
    process.id = {::getpid(), 100, {{1, 2}, "agent", 3, 4}};
    process.executable = Executable{"/usr/bin/agent", false, std::nullopt};
    proven_.apply(process);
    Worker worker(1);
    boost::asio::io_context loop;
    std::optional<Result<void>> written;
    boost::asio::co_spawn(loop, file_.write(proven_, worker), [&](std::exception_ptr, Result<void> result) { written = result; });
    loop.run();
    ASSERT_TRUE(written && *written) << (written ? written->error().detail : "");
  }
  std::string text() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  test::TemporaryDirectory directory_;
  std::string const path_ = directory_ / "control.sock.proven";
  ProvenFile const file_{path_};
  ProvenExecutables proven_;
};

TEST_F(ProvenFileTest, IsReadAsItWasWritten) {
  write();
  struct stat state {};
  ASSERT_EQ(::stat(path_.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0600U);
  auto const again = file_.read();
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->pids(), std::vector<pid_t>{::getpid()});
}

TEST_F(ProvenFileTest, NeedNotBeThere) {
  auto const none = file_.read();
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->pids().empty());
}

TEST_F(ProvenFileTest, HoldsNoProcessThatHasEnded) {
  pid_t const child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  Process process;
  process.id = {child, 100, {{1, 2}, "agent", 3, 4}};
  process.executable = Executable{"/usr/bin/agent", false, std::nullopt};
  proven_.apply(process);
  write();
  EXPECT_EQ(file_.read()->pids(), std::vector<pid_t>{::getpid()});
}

TEST_F(ProvenFileTest, OfAnotherBootIsNothing) {
  write();
  auto other = text();
  auto const at = other.find("\"boot_id\":\"") + 11;
  other[at] = other[at] == '0' ? '1' : '0';
  std::ofstream(path_) << other;
  auto const read = file_.read();
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->pids().empty());
}

TEST_F(ProvenFileTest, IsNotBelievedWhenSomebodyElseMayHaveWrittenIt) {
  struct Row {
    char const *name;
    Errc code;
    std::function<void(std::string const &)> change;
  };
  for (auto const &[name, code, change] : {
           Row{"others may write", Errc::refused, [](auto const &path) { ::chmod(path.c_str(), 0622); }},
           Row{"others may read", Errc::refused, [](auto const &path) { ::chmod(path.c_str(), 0644); }},
           Row{"another user's", Errc::refused, [](auto const &path) { ASSERT_EQ(::chown(path.c_str(), 54321, 54321), 0); }},
           Row{"a link", Errc::system, [](auto const &path) { std::filesystem::rename(path, path + "2"); std::filesystem::create_symlink(path + "2", path); }},
           Row{"a directory", Errc::refused, [](auto const &path) { std::filesystem::remove(path); std::filesystem::create_directory(path); }},
           Row{"a fifo", Errc::refused, [](auto const &path) { std::filesystem::remove(path); ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); ::chmod(path.c_str(), 0600); }},
           Row{"cut off", Errc::malformed, [](auto const &path) { std::filesystem::resize_file(path, 40); }},
           Row{"too large", Errc::malformed, [](auto const &path) { std::filesystem::resize_file(path, 5 << 20); }},
       }) {
    std::filesystem::remove_all(path_);
    proven_ = {};
    write();
    change(path_);
    auto const read = file_.read();
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().code, code) << name << ": " << read.error().detail;
    std::filesystem::remove_all(path_ + "2");
  }
}

}  // namespace
}  // namespace imdsgate
