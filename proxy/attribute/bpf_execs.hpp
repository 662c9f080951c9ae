// The kernel programs of bpf/exec.bpf.c, loaded and attached.
#pragma once

#include <cstdint>

#include "attribute/exec_queue.hpp"

namespace imdsgate {

struct ExecProgramOptions {
  std::uint32_t ring_bytes = 8u << 20;  // a power of two, whole pages; about 400 bytes an exec
};

// Every fork, exec and end of a process from now on, until the queue's owner is let go. Needs CAP_BPF and CAP_PERFMON,
// which nothing later needs; a kernel with BTF and bpf_loop (5.17; tried on Linux 6.18); the initial pid namespace.
Result<ExecQueue> load_exec_programs(ExecProgramOptions options = {});

}  // namespace imdsgate
