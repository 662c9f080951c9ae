#include "report/sink_target.hpp"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/sinks/systemd_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace imdsgate {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr std::size_t kAtOnce = 64u << 10;

std::unique_ptr<spdlog::formatter> bare_lines() {
  return std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, "\n");
}

[[noreturn]] void fail(std::string const &what, int error) {
  throw spdlog::spdlog_ex(what + ": " + std::strerror(error));
}

// Creates the file before spdlog's fopen can, which would make it 0644, and refuses what is no regular file:
// opening a FIFO would block.
void prepare_file(std::string const &path) {
  int const fd =
      ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kFileMode);
  if (fd < 0) fail(path, errno);
  struct stat status {};
  int const error = fstat(fd, &status) != 0                                                   ? errno
                    : !S_ISREG(status.st_mode)                                                ? EINVAL
                    : (status.st_mode & 0777 & ~kFileMode) != 0 && fchmod(fd, kFileMode) != 0 ? errno
                                                                                              : 0;
  ::close(fd);
  if (error != 0) fail(path + (error == EINVAL ? ": not a regular file" : ""), error);
}

class FileTarget final : public SinkTarget {
 public:
  explicit FileTarget(SinkOptions const &options) : options_(options) {
    auto directory = std::filesystem::path(options.path).parent_path();
    if (directory.empty()) directory = ".";
    // Without this, spdlog's rotation cannot rename, and truncates the file instead.
    if (access(directory.c_str(), W_OK | X_OK) != 0) fail(directory.string(), errno);
    open();
  }
  // The handlers point here and run when the sink goes.
  ~FileTarget() override { sink_.reset(); }

  // The file may grow past its size by less than a quarter, or a small one would rotate for each delivery.
  std::size_t at_once() const override { return std::min<std::size_t>(kAtOnce, options_.max_size / 4); }
  void deliver(spdlog::details::log_msg const &line) override {
    // A rotation that failed half-way leaves spdlog's sink without a file.
    if (!sink_ || file_ == nullptr) open();
    unsigned const opened = opened_;
    off_t const size = file_size();
    try {
      sink_->log(line);
    } catch (...) {
      // After a rotation the file started out empty. Nothing can be done when this fails too: the disk is
      // broken.
      if (file_ != nullptr) (void)!ftruncate(fileno(file_), opened == opened_ ? size : 0);
      throw;
    }
  }

 private:
  void open() {
    sink_.reset();
    spdlog::file_event_handlers handlers;
    handlers.before_open = prepare_file;
    handlers.after_open = [this](auto const &, std::FILE *file) {
      file_ = file;
      ++opened_;
      // Unbuffered: a line is one write(2), there at once, and a failure is the failure of this line.
      std::setvbuf(file, nullptr, _IONBF, 0);
      (void)fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
    };
    handlers.before_close = [this](auto const &, std::FILE *) { file_ = nullptr; };
    sink_ = std::make_unique<spdlog::sinks::rotating_file_sink_st>(options_.path, options_.max_size,
                                                                   options_.keep, false, handlers);
    sink_->set_formatter(bare_lines());
  }

  off_t file_size() const {
    struct stat status {};
    return fstat(fileno(file_), &status) == 0 ? status.st_size : 0;
  }

  SinkOptions options_;
  std::FILE *file_ = nullptr;  // spdlog's own, between after_open and before_close
  unsigned opened_ = 0;
  std::unique_ptr<spdlog::sinks::rotating_file_sink_st> sink_;
};

class StdoutTarget final : public SinkTarget {
 public:
  StdoutTarget() {
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) fail("stdout", errno);
    sink_.set_formatter(bare_lines());
  }
  std::size_t at_once() const override { return kAtOnce; }
  void deliver(spdlog::details::log_msg const &line) override {
    sink_.log(line);  // writes and flushes, and does not look at the result
    if (std::ferror(stdout) != 0) {
      std::clearerr(stdout);
      throw spdlog::spdlog_ex("stdout: write failed");
    }
  }

 private:
  spdlog::sinks::stdout_sink_mt sink_;
};

// Both libraries drop a message in silence when their daemon's socket is not there, so it is looked for
// first.
void require_socket(char const *path) {
  if (access(path, W_OK) != 0) fail(path, errno);
}

class JournalTarget final : public SinkTarget {
 public:
  JournalTarget() : sink_("imdsgate") { require_socket(kSocket); }
  void deliver(spdlog::details::log_msg const &line) override {
    require_socket(kSocket);
    sink_.log(line);
  }

 private:
  static constexpr char const *kSocket = "/run/systemd/journal/socket";
  spdlog::sinks::systemd_sink_st sink_;
};

class SyslogTarget final : public SinkTarget {
 public:
  explicit SyslogTarget(SinkOptions const &options) {
    if (options.address != std::string("unix:") + kSocket)
      fail("syslog address " + options.address, EAFNOSUPPORT);
    require_socket(kSocket);
    // openlog(3) has one state for the whole process.
    if (open_.exchange(true)) fail("a second syslog sink", EBUSY);
    sink_ = std::make_unique<spdlog::sinks::syslog_sink_st>("imdsgate", LOG_PID, LOG_DAEMON, false);
  }
  ~SyslogTarget() override {
    if (!sink_) return;
    sink_.reset();
    open_ = false;
  }
  void deliver(spdlog::details::log_msg const &line) override {
    require_socket(kSocket);
    sink_->log(line);
  }

 private:
  static constexpr char const *kSocket = "/dev/log";
  static inline std::atomic<bool> open_ = false;
  std::unique_ptr<spdlog::sinks::syslog_sink_st> sink_;
};

}  // namespace

std::unique_ptr<SinkTarget> open_target(SinkOptions const &options) {
  switch (options.type) {
    case SinkOptions::Type::file: return std::make_unique<FileTarget>(options);
    case SinkOptions::Type::journald: return std::make_unique<JournalTarget>();
    case SinkOptions::Type::syslog: return std::make_unique<SyslogTarget>(options);
    case SinkOptions::Type::standard_output: return std::make_unique<StdoutTarget>();
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
