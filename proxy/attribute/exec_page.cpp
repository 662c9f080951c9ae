#include "attribute/exec_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace imdsgate {
namespace {

constexpr std::size_t kSize = 4096;

Error failed(char const *what) {
  return Error{Errc::system, std::string(what) + ": " + std::strerror(errno)};
}

}  // namespace

Result<ExecPage> ExecPage::create() {
  HeldFd memory(::memfd_create("imdsgate-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return failed("memfd_create");
  // Sealed, or a shorter file would make a read of ours a SIGBUS.
  if (::ftruncate(memory.get(), kSize) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return failed("memfd");
  }
  return map(std::move(memory));
}

Result<ExecPage> ExecPage::map(HeldFd memory) {
  auto *const at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return failed("mmap");
  return ExecPage(std::move(memory), static_cast<ExecCounts *>(at));
}

ExecPage::ExecPage(ExecPage &&other) noexcept
    : memory_(std::move(other.memory_)), counts_(std::exchange(other.counts_, nullptr)) {}

ExecPage &ExecPage::operator=(ExecPage &&other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(counts_, other.counts_);
  return *this;
}

ExecPage::~ExecPage() {
  if (counts_) ::munmap(counts_, kSize);
}

}  // namespace imdsgate
