#include "gateway/proven_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

#include "intercept/descriptor.hpp"

namespace imdsgate {
namespace {

constexpr off_t kMaxBytes = 4 << 20;

Error system_error(std::string const &path) { return {Errc::system, path + ": " + std::strerror(errno)}; }

Result<std::string> read_trusted(std::string const &path) {
  Descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && errno == ENOENT) return Error{Errc::not_found, path + " is not there"};
  struct stat state {};
  if (!file || ::fstat(file.get(), &state) != 0) return system_error(path);
  bool const own = S_ISREG(state.st_mode) && state.st_uid == ::geteuid() && (state.st_mode & 077) == 0;
  if (!own) return Error{Errc::refused, path + ": it may have been written by somebody else"};
  if (state.st_size > kMaxBytes) return Error{Errc::malformed, path + ": it is too large"};
  std::string text(static_cast<std::size_t>(state.st_size), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    auto const got = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error(path);
    filled += static_cast<std::size_t>(got);
  }
  return text;
}

Result<void> replace(std::string const &path, std::string const &text) {
  std::string const fresh = path + ".new";
  ::unlink(fresh.c_str());  // of a daemon that ended in between
  Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return system_error(fresh);
  for (std::size_t written = 0; written < text.size();) {
    auto const put = ::write(file.get(), text.data() + written, text.size() - written);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(fresh);
    written += static_cast<std::size_t>(put);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return system_error(path);
  return {};
}

// /proc may be hidden from the gateway (hidepid); whether there is a process is not.
std::vector<pid_t> ended_of(std::vector<pid_t> pids) {
  std::erase_if(pids, [](pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; });
  return pids;
}

}  // namespace

ProvenFile::ProvenFile(std::string path) : path_(std::move(path)) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, boot_id_);
}

Result<ProvenExecutables> ProvenFile::read() const {
  auto const text = read_trusted(path_);
  if (!text && text.error().code == Errc::not_found) return ProvenExecutables{};
  if (!text) return text.error();
  auto proven = ProvenExecutables::parse(*text, boot_id_);
  if (proven || proven.error().code != Errc::not_found) return proven;
  return ProvenExecutables{};
}

boost::asio::awaitable<Result<void>> ProvenFile::write(ProvenExecutables &proven, Worker &worker) const {
  if (!proven.take_changed()) co_return Result<void>{};
  proven.forget(ended_of(proven.pids()));
  auto const put = [path = path_, text = proven.to_json(boot_id_)] { return replace(path, text); };
  co_return co_await run_on(worker, put);
}

}  // namespace imdsgate
