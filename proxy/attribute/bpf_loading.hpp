// What loading any of the BPF programs begins with, and how its failures are told. Main thread, at start.
#pragma once

#include "model/result.hpp"

namespace imdsgate {

// Whether this kernel and this pid namespace can have them at all; the error says what is missing. From here on
// libbpf's complaints are kept for bpf_failure().
Result<void> prepare_bpf();

// `what`: strerror(error), the capabilities that are needed if that is it, and the last line libbpf complained with,
// which names what the kernel refused.
Error bpf_failure(char const *what, int error);

}  // namespace imdsgate
