// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every fork, exec and end of a process, in the order in which they happen, with what was exec'd: written down before
// the new program runs, so that nothing has to be read from a process that may be gone. Loaded by
// attribute/bpf_execs.cpp, read by attribute/exec_ring.cpp.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "exec_events.h"
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct super_block { __u32 s_dev; };
struct inode { unsigned long i_ino; unsigned int i_nlink; struct super_block *i_sb; };
struct qstr { const unsigned char *name; };
struct hlist_bl_node { struct hlist_bl_node **pprev; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; struct hlist_bl_node d_hash; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; int mnt_id; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; };
struct fs_struct { struct path pwd; };
struct mm_struct { unsigned long start_stack, arg_start, arg_end; struct file *exe_file; };
struct ns_common { unsigned int inum; };
struct mnt_namespace { struct ns_common ns; };
struct nsproxy { struct mnt_namespace *mnt_ns; };
struct linux_binprm { const char *filename; };
#pragma clang attribute pop

#define PF_KTHREAD 0x00200000
#define NAME_BYTES 256  // NAME_MAX and the NUL
#define MAX_COMPONENTS 2048

// Set before loading.
const volatile __u32 wake_at = 0;  // bytes in the ring

struct bpf_exec_shared shared = {};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);  // set before loading
} ring SEC(".maps");

// The way from a file up to the root of its tree.
struct walk {
  struct dentry *dentry;
  struct mount *mount;
  __u32 at, end;  // in bpf_exec::data
  __u32 flags;
};

// An exec while it is put together; tracepoints are not preempted. The way lies beside it, because of what is on the
// stack the verifier follows every value, one state for each step.
struct draft {
  struct walk walk;
  struct bpf_exec exec;
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct draft);
} drafts SEC(".maps");

// To be woken is what costs most. The reader is by execs, while it waits for them, and by whatever fills the ring;
// forks and ends can wait until it looks. (An exec in the very moment it begins to wait may go by: then the next one, or
// the gateway's question, wakes it.)
static __always_inline __u64 wake(bool exec) {
  return (exec && shared.waits) || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void describe(struct bpf_process_event *event, __u32 kind, struct task_struct *task) {
  event->kind = kind;
  event->caller = (__u32)bpf_get_current_task_btf()->tgid;
  event->time = bpf_ktime_get_ns();
  look_at(task, &event->self);
  look_at(task->real_parent, &event->parent);
}

static __always_inline void count_lost(void) {
  __sync_fetch_and_add(&shared.lost, 1);
}

static __always_inline int tell(__u32 kind, struct task_struct *task) {
  if (task->flags & PF_KTHREAD) return 0;
  struct bpf_process_event *event = bpf_ringbuf_reserve(&ring, sizeof *event, 0);
  if (!event) {
    count_lost();
    return 0;
  }
  describe(event, kind, task);
  bpf_ringbuf_submit(event, wake(false));
  return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(at_fork, struct task_struct *parent, struct task_struct *child) {
  return child->tgid == parent->tgid ? 0 : tell(BPF_PROCESS_FORK, child);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(at_exit, struct task_struct *task) {
  return task->signal->live.counter != 0 ? 0 : tell(BPF_PROCESS_EXIT, task);
}

static __always_inline bool append_name(struct draft *draft, struct dentry *dentry) {
  struct walk *walk = &draft->walk;
  __u32 at = walk->at;
  if (at >= walk->end || at > sizeof draft->exec.data - NAME_BYTES) return false;
  long size = bpf_probe_read_kernel_str(&draft->exec.data[at], NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));
  if (size <= 0) return false;
  walk->at = at + (__u32)size;
  return true;
}

static long step_up(__u32 count, struct draft **context) {
  struct draft *draft = *context;
  struct walk *walk = &draft->walk;
  struct dentry *dentry = walk->dentry;
  struct mount *mount = walk->mount;
  if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
    struct mount *above = BPF_CORE_READ(mount, mnt_parent);
    if (above == mount) {
      walk->flags &= ~BPF_EXEC_PATH_CUT;
      return 1;
    }
    walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
    walk->mount = above;
    return 0;
  }
  struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
  if (!append_name(draft, dentry)) return 1;
  if (parent == dentry) {
    walk->flags |= BPF_EXEC_PATH_DETACHED;
    return 1;
  }
  walk->dentry = parent;
  return 0;
}

static __always_inline struct mount *mount_of(const struct path *path) {
  return (void *)BPF_CORE_READ(path, mnt) - bpf_core_field_offset(struct mount, mnt);
}

// Appends the path to data[at]; returns where it ends, and what is odd about it in walk.flags.
static __always_inline __u32 write_path(struct draft *draft, __u32 at, const struct path *path) {
  struct dentry *leaf = BPF_CORE_READ(path, dentry);
  struct walk *walk = &draft->walk;
  walk->dentry = leaf;
  walk->mount = mount_of(path);
  walk->at = at;
  walk->end = at + BPF_PATH_BYTES;
  walk->flags = BPF_EXEC_PATH_CUT;  // until the root was reached
  if (!BPF_CORE_READ(leaf, d_hash.pprev)) walk->flags |= BPF_EXEC_PATH_UNLINKED;
  bpf_loop(MAX_COMPONENTS, step_up, &draft, 0);
  return walk->at;
}

static __always_inline void write_executable(struct draft *draft, struct mm_struct *mm) {
  struct bpf_exec *out = &draft->exec;
  struct file *file = mm->exe_file;
  out->inode = BPF_CORE_READ(file, f_inode, i_ino);
  out->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
  out->links = BPF_CORE_READ(file, f_inode, i_nlink);
  out->stack_start = mm->start_stack;
  out->arg_start = mm->arg_start;
  struct mount *mount = mount_of(&file->f_path);
  out->mount = (__u32)BPF_CORE_READ(mount, mnt_id);
  out->executable_size = write_path(draft, 0, &file->f_path);
  out->flags = draft->walk.flags;
}

static __always_inline __u32 write_directory(struct draft *draft, __u32 at, struct fs_struct *fs) {
  struct bpf_exec *out = &draft->exec;
  __u32 end = write_path(draft, at, &fs->pwd);
  __u32 odd = draft->walk.flags;
  if (end == at) odd &= ~BPF_EXEC_PATH_UNLINKED;  // the root of a tree is in no table of names
  if (odd) out->flags |= BPF_EXEC_DIRECTORY_ODD;
  out->directory_size = end - at;
  return end;
}

static __always_inline __u32 write_filename(struct bpf_exec *out, __u32 at, const char *name) {
  out->filename_size = 0;
  if (at > sizeof out->data - BPF_PATH_BYTES) return at;
  long size = bpf_probe_read_kernel_str(&out->data[at], BPF_PATH_BYTES, name);
  if (size <= 0) return at;
  out->filename_size = (__u32)size;
  return at + (__u32)size;
}

static __always_inline __u32 write_arguments(struct bpf_exec *out, __u32 at, struct mm_struct *mm) {
  unsigned long begin = mm->arg_start;
  unsigned long size = mm->arg_end - begin;
  out->arguments_size = 0;
  if (size > BPF_ARGUMENT_BYTES) size = BPF_ARGUMENT_BYTES;
  if (size == 0) return at;
  if (at > sizeof out->data - BPF_ARGUMENT_BYTES || bpf_probe_read_user(&out->data[at], size, (void *)begin) != 0) {
    out->flags |= BPF_EXEC_ARGUMENTS_UNREAD;
    return at;
  }
  out->arguments_size = size;
  return at + size;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(at_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary) {
  __u32 first = 0;
  struct draft *draft = bpf_map_lookup_elem(&drafts, &first);
  struct mm_struct *mm = task->mm;
  if (!draft || !mm) {
    count_lost();
    return 0;
  }
  struct bpf_exec *out = &draft->exec;
  describe(&out->event, BPF_PROCESS_EXEC, task);
  out->cgroup = bpf_get_current_cgroup_id();
  out->mount_namespace = task->nsproxy->mnt_ns->ns.inum;
  out->tracer = task->ptrace ? (__u32)task->parent->tgid : 0;
  bpf_probe_read_kernel(out->comm, sizeof out->comm, task->comm);
  write_executable(draft, mm);
  __u32 end = write_directory(draft, out->executable_size, task->fs);
  end = write_filename(out, end, binary->filename);
  end = write_arguments(out, end, mm);
  if (end > sizeof out->data ||
      bpf_ringbuf_output(&ring, out, __builtin_offsetof(struct bpf_exec, data) + end, wake(true)) != 0) {
    count_lost();
  }
  return 0;
}
