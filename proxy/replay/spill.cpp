#include "replay/spill.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace imdsgate {
namespace {

constexpr std::size_t kChunk = 1 << 20;

Error system_error(std::string what) {
  return Error{Errc::system, std::move(what) + ": " + std::generic_category().message(errno)};
}

Result<std::size_t> read_some(int from, std::vector<char> &chunk, std::string_view what) {
  for (;;) {
    auto const count = ::read(from, chunk.data(), chunk.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return system_error(std::string(what));
  }
}

Result<void> write_all(int to, std::string_view text) {
  while (!text.empty()) {
    auto const count = ::write(to, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("writing");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> copy(int from, int to, std::string_view what) {
  std::vector<char> chunk(kChunk);
  for (;;) {
    auto const count = read_some(from, chunk, what);
    if (!count) return count.error();
    if (*count == 0) return {};
    if (auto written = write_all(to, {chunk.data(), *count}); !written) return written;
  }
}

Result<File> spill(int from) {
  auto file = unnamed_file();
  if (!file) return file.error();
  if (auto copied = copy(from, ::fileno(file->get()), "reading"); !copied) return copied.error();
  return file;
}

}  // namespace

Result<File> unnamed_file() {
  char const *const named = std::getenv("TMPDIR");
  std::string const directory = named != nullptr && *named != '\0' ? named : "/tmp";
  int descriptor = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    // A file system without O_TMPFILE (overlayfs of old, NFS): a name, for a moment.
    std::string name = directory + "/imdsgate-XXXXXX";
    descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor < 0) return system_error("a temporary file in " + directory);
    ::unlink(name.c_str());
  }
  File file(::fdopen(descriptor, "w+b"));
  if (!file) {
    auto const error = system_error("fdopen");
    ::close(descriptor);
    return error;
  }
  return file;
}

Result<File> open_seekable(std::string const &name) {
  if (name == "-") return spill(STDIN_FILENO);
  int const descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return system_error(name);
  File file(::fdopen(descriptor, "rb"));
  if (!file) {
    auto const error = system_error("fdopen");
    ::close(descriptor);
    return error;
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return system_error(name);
  if (S_ISDIR(status.st_mode)) return Error{Errc::unreadable, name + ": is a directory"};
  if (S_ISREG(status.st_mode)) return file;
  return spill(descriptor);
}

void Spool::append(std::string_view text) {
  if (!state_) return;
  memory_ += text;
  if (memory_.size() > kInMemory) move_to_file();
}

void Spool::move_to_file() {
  if (!file_) {
    auto made = unnamed_file();
    if (!made) {
      state_ = made.error();
      return;
    }
    file_ = std::move(*made);
  }
  state_ = write_all(::fileno(file_.get()), memory_);
  memory_.clear();
}

void Spool::discard() {
  memory_.clear();
  file_.reset();
  state_ = {};
}

Result<void> Spool::write_to(int descriptor) {
  if (!state_) return state_;
  if (file_) {
    if (::lseek(::fileno(file_.get()), 0, SEEK_SET) < 0) return system_error("lseek");
    if (auto copied = copy(::fileno(file_.get()), descriptor, "reading back"); !copied) return copied;
  }
  return write_all(descriptor, memory_);
}

}  // namespace imdsgate
