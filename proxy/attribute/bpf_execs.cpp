#include "attribute/bpf_execs.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "attribute/bpf_loading.hpp"
#include "bpf/exec_events.h"
#include "exec.skel.h"

namespace imdsgate {
namespace {

// How far the ring was read and written, in the two pages before its data (kernel/bpf/ringbuf.c).
class RingPositions {
 public:
  explicit RingPositions(int ring)
      : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
        pages_(::mmap(nullptr, 2 * page_, PROT_READ, MAP_SHARED, ring, 0)) {}
  RingPositions(RingPositions const &) = delete;
  ~RingPositions() {
    if (*this) ::munmap(pages_, 2 * page_);
  }
  explicit operator bool() const { return pages_ != MAP_FAILED; }
  bool equal() const { return at(page_) == at(0); }

 private:
  unsigned long at(std::size_t offset) const {
    return __atomic_load_n(reinterpret_cast<unsigned long *>(static_cast<char *>(pages_) + offset), __ATOMIC_ACQUIRE);
  }
  std::size_t page_;
  void *pages_;
};

struct ExecPrograms {
  ExecPrograms() : skeleton(exec_bpf__open()) {}
  ExecPrograms(ExecPrograms const &) = delete;
  ~ExecPrograms() { exec_bpf__destroy(skeleton); }

  exec_bpf *skeleton;
  std::optional<RingPositions> positions;
};

}  // namespace

Result<ExecQueue> load_exec_programs(ExecProgramOptions options) {
  if (auto possible = prepare_bpf(); !possible) return possible.error();
  auto const programs = std::make_shared<ExecPrograms>();
  auto *skeleton = programs->skeleton;
  if (!skeleton) return bpf_failure("the programs for exec events cannot be opened", errno);
  bpf_map__set_max_entries(skeleton->maps.ring, options.ring_bytes);
  skeleton->rodata->wake_at = options.ring_bytes / 4;
  if (int const error = exec_bpf__load(skeleton); error != 0) {
    return bpf_failure("the programs for exec events cannot be loaded", -error);
  }
  int const ring = bpf_map__fd(skeleton->maps.ring);
  if (!programs->positions.emplace(ring)) return bpf_failure("the ring of exec events cannot be mapped", errno);
  if (int const error = exec_bpf__attach(skeleton); error != 0) {
    return bpf_failure("the programs for exec events cannot be attached", -error);
  }
  ExecQueue queue;
  queue.source = "bpf";
  queue.fds = {ring, bpf_map__fd(skeleton->maps.bss)};
  queue.empty = [raw = programs.get()] {
    auto const &shared = raw->skeleton->bss->shared;
    // The positions last: what finds the ring full is counted by then.
    bool const told = __atomic_load_n(&shared.lost, __ATOMIC_ACQUIRE) == __atomic_load_n(&shared.told, __ATOMIC_ACQUIRE);
    return told && raw->positions->equal();
  };
  queue.owner = programs;
  return queue;
}

}  // namespace imdsgate
