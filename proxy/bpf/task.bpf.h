// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the programs read of a task. For the kernel's side only.
#pragma once

#include "task.h"

// The kernel's structures, as far as they are read; libbpf finds the offsets of the running kernel by the names.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct { int counter; } atomic_t;
typedef struct { __u32 val; } kuid_t;
typedef struct { __u32 val; } kgid_t;

struct user_namespace { int level; };  // 0: the initial one
struct cred { kuid_t uid, euid, suid; kgid_t gid, egid, sgid; struct user_namespace *user_ns; };
struct files_struct { atomic_t count; };
struct list_head { struct list_head *next; };
struct signal_struct { atomic_t live; struct list_head thread_head; };  // live: threads that have not begun to end
struct fs_struct;
struct io_uring_task;
struct mm_struct;
struct nsproxy;
struct task_struct {
  unsigned int flags;
  unsigned int ptrace;
  struct mm_struct *mm;
  int tgid;
  struct task_struct *real_parent;
  struct task_struct *parent;  // who is told of its end: its tracer, else real_parent
  struct task_struct *group_leader;
  __u64 start_boottime;
  const struct cred *real_cred;
  const struct cred *cred;
  char comm[16];
  struct fs_struct *fs;
  struct files_struct *files;
  struct nsproxy *nsproxy;
  struct signal_struct *signal;
  struct list_head thread_node;
  struct io_uring_task *io_uring;
  __u64 self_exec_id;
};
struct file___opened { unsigned int f_flags; const struct cred *f_cred; };
struct mm_struct___image { struct file___opened *exe_file; };
#pragma clang attribute pop

#define FMODE_EXEC 0x20  // in f_flags only of what the kernel opened for an exec (do_open_execat in fs/exec.c)

// With binfmt_misc of a user namespace a process gets such a file into its hands, opened with credentials of that namespace.
static __always_inline bool exe_changed(struct mm_struct___image *mm) {
  if (!mm) return false;
  struct file___opened *file = mm->exe_file;
  return file && (!(file->f_flags & FMODE_EXEC) || file->f_cred->user_ns->level != 0);
}

static __always_inline void look_at(struct task_struct *task, struct bpf_task *out) {
  struct task_struct *leader = task->group_leader;
  const struct cred *cred = task->real_cred;
  out->start_boottime = leader->start_boottime;
  out->exec_id = task->self_exec_id;
  out->mm = (__u64)task->mm;
  out->tgid = (__u32)task->tgid;
  out->unusual = (task->ptrace || leader->ptrace ? BPF_TASK_TRACED : 0) |
                 (task->cred != task->real_cred ? BPF_TASK_OTHER_CREDENTIALS : 0) |
                 (cred->user_ns->level != 0 ? BPF_TASK_USER_NAMESPACE : 0) |
                 (exe_changed((void *)task->mm) ? BPF_TASK_EXE_CHANGED : 0);
  out->real_uid = cred->uid.val;
  out->effective_uid = cred->euid.val;
  out->saved_uid = cred->suid.val;
  out->real_gid = cred->gid.val;
  out->effective_gid = cred->egid.val;
  out->saved_gid = cred->sgid.val;
}

// With whose credentials a parent acts at this moment (overlayfs does with others for any file) says nothing of its child.
static __always_inline void look_at_parent(struct task_struct *task, struct bpf_task *out) {
  look_at(task, out);
  out->unusual &= ~(__u32)BPF_TASK_OTHER_CREDENTIALS;
}
