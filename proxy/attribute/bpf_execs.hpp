// The kernel programs of bpf/exec.bpf.c, loaded and attached.
#pragma once

#include <cstdint>
#include <memory>

#include "attribute/exec_queue.hpp"

namespace imdsgate {

struct ExecProgramOptions {
  std::uint32_t ring_bytes = 8u << 20;  // a power of two, whole pages; about 400 bytes an exec
};

// Needs CAP_BPF and CAP_PERFMON, which nothing later needs; a kernel with BTF and bpf_loop (5.17; tried on Linux 6.18);
// the initial pid namespace.
class ExecPrograms {
 public:
  static Result<ExecPrograms> load(ExecProgramOptions options = {});
  // Between the two every fork, exec and end of a process is queued; again and again, for who measures what that costs.
  Result<void> attach();
  void detach();
  ExecQueue queue() const;  // its owner keeps them attached

 private:
  class Loaded;
  explicit ExecPrograms(std::shared_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
  std::shared_ptr<Loaded> loaded_;
};

// Loaded and attached, until the queue's owner is let go.
Result<ExecQueue> load_exec_programs(ExecProgramOptions options = {});

}  // namespace imdsgate
