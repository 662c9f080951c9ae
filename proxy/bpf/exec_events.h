// What exec.bpf.c writes into its ring and attribute/exec_ring.cpp reads. Plain C, host byte order, no padding.
#pragma once

#include "task.h"

#define BPF_PATH_BYTES 4096       // PATH_MAX
#define BPF_ARGUMENT_BYTES 8193   // one more than is kept, which tells that there was more

enum bpf_process_event_kind {
  BPF_PROCESS_FORK = 1,  // `self` is the new process
  BPF_PROCESS_EXEC = 2,  // the first field of a bpf_exec
  BPF_PROCESS_EXIT = 3,  // its last thread
};

struct bpf_process_event {
  IMDSGATE_U32 kind;
  IMDSGATE_U32 caller;  // of a fork: who called clone(2), which CLONE_PARENT makes the sibling
  IMDSGATE_U64 time;  // CLOCK_MONOTONIC, ns
  struct bpf_task self;
  struct bpf_task parent;  // real_parent at this moment
};

// What could not be written down of an exec: bits of bpf_exec::flags.
enum {
  BPF_EXEC_PATH_CUT = 1,         // the executable's path is longer than PATH_MAX, or a name of it could not be read
  BPF_EXEC_PATH_DETACHED = 2,    // the executable is in no tree of directories (memfd_create(2))
  BPF_EXEC_PATH_UNLINKED = 4,    // it was deleted
  BPF_EXEC_DIRECTORY_ODD = 8,    // the working directory is one of these
  BPF_EXEC_ARGUMENTS_UNREAD = 16,  // they were not in memory
};

// One execve(2), as it was when it had succeeded and nothing of the new program had run.
struct bpf_exec {
  struct bpf_process_event event;
  IMDSGATE_U64 cgroup;  // cgroup2 id
  IMDSGATE_U64 stack_start, arg_start;
  IMDSGATE_U64 inode;   // of the executable
  IMDSGATE_U32 device;  // of its file system, as the kernel numbers it: 12 bits of major, 20 of minor
  IMDSGATE_U32 links;
  IMDSGATE_U32 mount_namespace;  // inode of /proc/PID/ns/mnt
  IMDSGATE_U32 tracer;           // 0: none
  IMDSGATE_U32 flags;
  // Of the parts of `data`, in this order. Paths are the names of their components from the last to the first, each
  // with its NUL.
  IMDSGATE_U32 executable_size, directory_size, filename_size, arguments_size;
  IMDSGATE_U32 mount;  // of the executable, as /proc/self/mountinfo numbers them
  char comm[16];
  char data[3 * BPF_PATH_BYTES + BPF_ARGUMENT_BYTES + 2 * 256 + 3];
};

// Shared with the tracker as the program's .bss.
struct bpf_exec_shared {
  IMDSGATE_U64 lost;   // events that could not be written down, most because the ring was full; the kernel counts
  IMDSGATE_U64 told;   // of these, how many the tracker has told of
  IMDSGATE_U32 waits;  // the tracker wants to be woken by an exec; without that it looks by itself
  IMDSGATE_U32 reserved;
};
