// A process as the programs write it down and user space reads it. Plain C, host byte order, no padding.
#pragma once

#ifdef __BPF__
#define IMDSGATE_U32 __u32
#define IMDSGATE_U64 __u64
#else
#include <stdint.h>
#define IMDSGATE_U32 uint32_t
#define IMDSGATE_U64 uint64_t
#endif

// What of a task makes it another suspect than its identity says: bits of bpf_task::unusual.
enum {
  BPF_TASK_TRACED = 1,                // by ptrace(2), it or its main thread
  BPF_TASK_OTHER_CREDENTIALS = 2,     // it acts with other credentials than its own (override_creds)
  // Its executable is no file that an exec in the initial user namespace opened: PR_SET_MM_MAP of prctl(2) replaces it by any
  // other, and in a user namespace of one's own anybody may.
  BPF_TASK_EXE_CHANGED = 4,
  BPF_TASK_USER_NAMESPACE = 8,  // it is in another user namespace than the initial one
};

// One process at one moment, as the kernel has it. exec_id is task_struct.self_exec_id, which every exec raises; mm is
// the address space, which every exec replaces, a little earlier (begin_new_exec in fs/exec.c).
struct bpf_task {
  IMDSGATE_U64 start_boottime;  // ns since boot, of the main thread
  IMDSGATE_U64 exec_id;
  IMDSGATE_U64 mm;
  IMDSGATE_U32 tgid;
  IMDSGATE_U32 unusual;
  IMDSGATE_U32 real_uid, effective_uid, saved_uid;
  IMDSGATE_U32 real_gid, effective_gid, saved_gid;
};
