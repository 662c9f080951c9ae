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

}  // namespace

class ExecPrograms::Loaded {
 public:
  explicit Loaded(exec_bpf *skeleton) : skeleton_(skeleton), positions_(ring()) {}
  Loaded(Loaded const &) = delete;
  ~Loaded() { exec_bpf__destroy(skeleton_); }
  explicit operator bool() const { return static_cast<bool>(positions_); }
  exec_bpf *skeleton() const { return skeleton_; }
  int ring() const { return bpf_map__fd(skeleton_->maps.ring); }
  int shared() const { return bpf_map__fd(skeleton_->maps.bss); }
  bool empty() const {
    auto const &shared = skeleton_->bss->shared;
    // The positions last: what finds the ring full is counted by then.
    bool const told = __atomic_load_n(&shared.lost, __ATOMIC_ACQUIRE) == __atomic_load_n(&shared.told, __ATOMIC_ACQUIRE);
    return told && positions_.equal();
  }

 private:
  exec_bpf *skeleton_;
  RingPositions positions_;
};

Result<ExecPrograms> ExecPrograms::load(ExecProgramOptions options) {
  if (auto possible = prepare_bpf(); !possible) return possible.error();
  auto *skeleton = exec_bpf__open();
  if (!skeleton) return bpf_failure("the programs for exec events cannot be opened", errno);
  bpf_map__set_max_entries(skeleton->maps.ring, options.ring_bytes);
  skeleton->rodata->wake_at = options.ring_bytes / 4;
  if (int const error = exec_bpf__load(skeleton); error != 0) {
    exec_bpf__destroy(skeleton);
    return bpf_failure("the programs for exec events cannot be loaded", -error);
  }
  auto loaded = std::make_shared<Loaded>(skeleton);
  if (!*loaded) return bpf_failure("the ring of exec events cannot be mapped", errno);
  return ExecPrograms(std::move(loaded));
}

Result<void> ExecPrograms::attach() {
  if (int const error = exec_bpf__attach(loaded_->skeleton()); error != 0) {
    return bpf_failure("the programs for exec events cannot be attached", -error);
  }
  return {};
}

void ExecPrograms::detach() { exec_bpf__detach(loaded_->skeleton()); }

ExecQueue ExecPrograms::queue() const {
  ExecQueue queue;
  queue.source = "bpf";
  queue.fds = {loaded_->ring(), loaded_->shared()};
  queue.empty = [loaded = loaded_.get()] { return loaded->empty(); };
  queue.owner = loaded_;
  return queue;
}

Result<ExecQueue> load_exec_programs(ExecProgramOptions options) {
  auto programs = ExecPrograms::load(options);
  if (!programs) return programs.error();
  if (auto attached = programs->attach(); !attached) return attached.error();
  return programs->queue();
}

}  // namespace imdsgate
