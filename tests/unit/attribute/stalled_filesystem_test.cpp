// A file system that stops answering under a client's files costs that client its name at most, and nobody
// else anything. The file system speaks the kernel's FUSE protocol itself, so that it can stop between two
// answers.
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "attribute/proc_parse.hpp"
#include "live_host.hpp"

namespace imdsgate::test {
namespace {

using namespace std::chrono_literals;

// One directory with one program in it, "program"; nothing is cached by the kernel longer than one call.
class FuseServer {
 public:
  FuseServer(int device, std::string content) : device_(device), content_(std::move(content)) {}

  [[noreturn]] void serve() {
    alignas(fuse_in_header) static char request[(1u << 20) + 4096];
    for (;;) {
      auto const size = ::read(device_, request, sizeof request);
      if (size <= 0) ::_exit(0);
      auto const &header = *reinterpret_cast<fuse_in_header *>(request);
      answer(header, request + sizeof header);
    }
  }

 private:
  void reply(std::uint64_t unique, int error, void const *body = nullptr, std::size_t size = 0) {
    fuse_out_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + size);
    header.error = -error;
    header.unique = unique;
    iovec parts[2] = {{&header, sizeof header}, {const_cast<void *>(body), size}};
    if (::writev(device_, parts, body ? 2 : 1) < 0 && errno != ENOENT) ::_exit(96);
  }

  fuse_attr attributes(std::uint64_t node) const {
    fuse_attr attr{};
    attr.ino = node;
    attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0755;
    attr.nlink = node == FUSE_ROOT_ID ? 2 : 1;
    attr.size = node == FUSE_ROOT_ID ? 0 : content_.size();
    return attr;
  }

  void answer(fuse_in_header const &header, char const *body) {
    switch (header.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = 4096;
        return reply(header.unique, 0, &out, sizeof out);
      }
      case FUSE_LOOKUP: {
        if (std::strcmp(body, "program") != 0) return reply(header.unique, ENOENT);
        fuse_entry_out out{};
        out.nodeid = 2;
        out.attr = attributes(2);
        return reply(header.unique, 0, &out, sizeof out);
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes(header.nodeid);
        return reply(header.unique, 0, &out, sizeof out);
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        fuse_open_out out{};
        return reply(header.unique, 0, &out, sizeof out);
      }
      case FUSE_READ: {
        auto const &in = *reinterpret_cast<fuse_read_in const *>(body);
        auto const from = std::min<std::size_t>(in.offset, content_.size());
        return reply(header.unique, 0, content_.data() + from,
                     std::min<std::size_t>(in.size, content_.size() - from));
      }
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_FLUSH: return reply(header.unique, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET: return;
      default: return reply(header.unique, ENOSYS);
    }
  }

  int device_;
  std::string content_;
};

std::string own_stat() {
  std::ifstream file("/proc/self/stat");
  return {std::istreambuf_iterator<char>(file), {}};
}

class StalledFilesystem : public LiveHost {
 protected:
  void SetUp() override {
    LiveHost::SetUp();
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    mount_ = temp_.path / "fuse";
    std::filesystem::create_directory(mount_);
    std::ifstream file("/bin/sleep", std::ios::binary);
    std::string const program{std::istreambuf_iterator<char>(file), {}};
    server_.emplace([&](auto ready) {
      int const device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
      auto const options =
          "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
      if (device < 0 || ::mount("test", mount_.c_str(), "fuse", MS_NODEV, options.c_str()) != 0) {
        std::perror("fuse");
        ::_exit(97);
      }
      ready();
      FuseServer(device, program).serve();
    });
    server_->wait_ready();
    auto options = patient();
    options.deadline = 2000ms;
    start(std::move(options));  // in the mount namespace that has it
  }

  void TearDown() override {
    // Its end fails every call that waits for it.
    server_->end();
    ::umount2(mount_.c_str(), MNT_DETACH);
    LiveHost::TearDown();
  }

  void stall() { ASSERT_EQ(::kill(server_->pid(), SIGSTOP), 0); }

  // Names `victim` or not, within the deadline, while another client is named.
  AttributionResult beside_another(Flow victim) {
    Child other([&](auto ready) {
      connect_here();
      ready();
      pause_forever();
    });
    other.wait_ready();
    auto const started = std::chrono::steady_clock::now();
    auto results = attribute_all({victim, accept()});
    EXPECT_LT(std::chrono::steady_clock::now() - started, 15s);
    EXPECT_TRUE(results[1]) << results[1].error().detail;
    if (results[1]) {
      EXPECT_EQ(results[1]->holders[0]->process.id.tgid, other.pid());
    }
    return results[0];
  }

  std::filesystem::path mount_;
  std::optional<Child> server_;
  std::optional<Child> victim_;  // ends after the server: until then it may wait for it, beyond SIGKILL
};

TEST_F(StalledFilesystem, UnderTheExecutableProvesNothing) {
  victim_.emplace([&](auto) {
    if (::chdir(mount_.c_str()) != 0) ::_exit(97);
    connect_here();
    run(mount_ / "program", "1000");
  });
  victim_->wait_exec();
  auto const flow = accept();
  stall();
  auto const result = beside_another(flow);
  if (!result) return;  // it may cost the client its name
  EXPECT_EQ(result->holders[0]->process.id.tgid, victim_->pid());
  ASSERT_TRUE(result->holders[0]->process.executable);
  EXPECT_FALSE(result->holders[0]->process.executable->proven());
}

TEST_F(StalledFilesystem, UnderTheArgumentsAndTheDirectoryDelaysNobody) {
  victim_.emplace([&](auto ready) {
    int const file = ::open((mount_ / "program").c_str(), O_RDONLY);
    // Over the page with the program's own arguments, which this process does not read again. It is not
    // touched, so that whoever reads it has to ask the file system.
    auto const stat = parse_stat(own_stat());
    auto *const page = reinterpret_cast<void *>(stat ? stat->arg_start & ~4095ul : 0);
    if (::chdir(mount_.c_str()) != 0 || !page ||
        ::mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) != page) {
      std::perror("arguments");
      ::_exit(97);
    }
    ::close(file);  // while it is still answered: the end of a process waits for its FLUSH
    connect_here();
    ready();
    pause_forever();
  });
  victim_->wait_ready();
  auto const flow = accept();
  stall();
  auto const result = beside_another(flow);
  if (!result) return;
  EXPECT_EQ(result->holders[0]->process.id.tgid, victim_->pid());
  EXPECT_TRUE(result->holders[0]->process.args.empty());
}

}  // namespace
}  // namespace imdsgate::test
