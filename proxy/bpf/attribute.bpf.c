// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who connects to a guarded address, and who sends on that connection: written down while they do it, so that neither
// has to be looked for afterwards. Loaded by attribute/bpf_connections.cpp.
//
//   connect4, connect6   in connect(2): who calls it. Kept with the socket, because the source port is not chosen yet
//   sockops              before the SYN: opens the connection's record; when it is established: tells the accepted socket
//                        which record is its client's; at the client's close and
//   sock_release         when the accepted one is given up: removes it, if both have happened; when the client's is: nobody has
//                        that any more
//   sock_send_length     at the end of every send: is it still the same process, and has nobody else the socket?
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attribute_maps.h"
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct { __s64 counter; } atomic64_t;
typedef struct { atomic64_t refcnt; } file_ref_t;
struct super_block { __u32 s_dev; };
struct inode { unsigned long i_ino; struct super_block *i_sb; };
struct file { file_ref_t f_ref; struct inode *f_inode; };  // f_ref: since Linux 6.13
struct file___counted { atomic64_t f_count; };  // before
struct mm_struct { unsigned long start_stack, arg_start; struct file *exe_file; };
struct socket { struct file *file; };
struct socket_alloc { struct socket socket; struct inode vfs_inode; };
struct sock { struct socket *sk_socket; kuid_t sk_uid; };
struct tcp_sock___mptcp { bool is_mptcp; };
struct kernfs_node { const char *name; };
struct cgroup { struct kernfs_node *kn; int level; struct cgroup *ancestors[]; };
struct css_set { struct cgroup *dfl_cgrp; };
struct task_struct___grouped { struct css_set *cgroups; };
#pragma clang attribute pop

#define TCP_FIN_WAIT2 5
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11
#define AF_INET 2
#define MAX_THREADS 4096  // that are looked at for one that has not ended
#define PF_USER_WORKER_OR_KTHREAD (0x00004000 | 0x00000010 | 0x00200000)  // PF_USER_WORKER, PF_IO_WORKER, PF_KTHREAD

// Set before loading.
const volatile __u64 netns_cookie = 0;  // the gateway's network namespace
const volatile __u32 quota = 0;         // connections a cgroup may have here

// Set by user space: connections of other network namespaces are written down, too.
volatile __u32 every_netns = 0;

// How many connections have no entry, and why, and when one was left without; read by user space.
__u64 recorded = 0, refused_quota = 0, refused_full = 0;
volatile __u64 refused_ns = 0;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_MAX_GUARDED);
  __type(key, struct bpf_guarded);
  __type(value, __u32);
} guarded SEC(".maps");

// Who called connect(2), until the SYN; afterwards it marks the socket as one to look at when it sends. Goes with the
// socket.
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct bpf_connection);
} dialled SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, struct bpf_connection_id);
  __type(value, struct bpf_connection);
} connections SEC(".maps");

// By bpf_connection::numbers, of those that the other end has yet to find. Addresses and ports would not do: they are
// translated on the way, and another connection may have them while this one waits for accept(2). The kernel picks both
// numbers, and no translation changes them.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, __u64);
  __type(value, struct bpf_connection_id);
} established SEC(".maps");

// Of an accepted socket: its client's record. Goes with the socket.
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct bpf_connection_id);
} accepted SEC(".maps");

struct {  // by bpf_connection::quota_cgroup: how many entries of `connections` are its own
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, __u64);
  __type(value, __u32);
} used SEC(".maps");

static __always_inline void refuse(__u64 *why) {
  refused_ns = bpf_ktime_get_ns();
  __sync_fetch_and_add(why, 1);
}

static __always_inline bool same_program(const struct bpf_task *a, const struct bpf_task *b) {
  return a->exec_id == b->exec_id && a->mm == b->mm;
}

static __always_inline bool same_process(const struct bpf_task *a, const struct bpf_task *b) {
  return a->tgid == b->tgid && a->start_boottime == b->start_boottime;
}

static __always_inline bool same_rights(const struct bpf_task *a, const struct bpf_task *b) {
  return a->unusual == b->unusual && a->real_uid == b->real_uid && a->effective_uid == b->effective_uid &&
         a->saved_uid == b->saved_uid && a->real_gid == b->real_gid && a->effective_gid == b->effective_gid &&
         a->saved_gid == b->saved_gid;
}

// What of the process that acts now differs from the one that connected.
static __always_inline __u32 difference(struct task_struct *now, const struct bpf_connection *connection) {
  struct bpf_task self, parent;
  look_at(now, &self);
  if (!same_process(&self, &connection->connector)) return BPF_SENT_BY_ANOTHER;
  if (!same_program(&self, &connection->connector)) return BPF_SENT_AFTER_EXEC;
  __u32 flags = same_rights(&self, &connection->connector) ? 0 : BPF_SENT_WITH_OTHER_RIGHTS;
  look_at_parent(now->real_parent, &parent);
  if (!same_process(&parent, &connection->parent) || !same_program(&parent, &connection->parent) ||
      !same_rights(&parent, &connection->parent)) {
    flags |= BPF_SENT_UNDER_ANOTHER_PARENT;
  }
  return flags;
}

// A group of cgroups that one user or one service is likely to be confined to, however many it makes below: the second
// level (user.slice/user-1000.slice, system.slice/a.service), of pods the third (kubepods.slice/kubepods-burstable.slice/
// kubepods-burstable-podUID.slice), or what there is.
static __always_inline bool in_pod(struct task_struct *task) {
  struct cgroup *cgroup = BPF_CORE_READ((struct task_struct___grouped *)task, cgroups, dfl_cgrp);
  if (BPF_CORE_READ(cgroup, level) < 3) return false;
  char name[sizeof "kubepods"] = {};
  bpf_probe_read_kernel_str(name, sizeof name, BPF_CORE_READ(cgroup, ancestors[1], kn, name));
  return bpf_strncmp(name, sizeof name, "kubepods") == 0;
}

static __always_inline __u64 quota_cgroup(struct task_struct *task) {
  __u64 id = in_pod(task) ? bpf_get_current_ancestor_cgroup_id(3) : bpf_get_current_ancestor_cgroup_id(2);
  return id ? id : bpf_get_current_cgroup_id();
}

static __always_inline bool is_ours(__u64 netns) { return netns == netns_cookie || every_netns; }
static __always_inline void look_at_image(struct task_struct *task, struct bpf_image *out) {
  struct mm_struct *mm = task->mm;
  struct file *file = mm->exe_file;
  out->file = (__u64)file;
  out->inode = file->f_inode->i_ino;
  out->device = file->f_inode->i_sb->s_dev;
  out->stack_start = mm->start_stack;
  out->arg_start = mm->arg_start;
  bpf_probe_read_kernel(out->comm, sizeof out->comm, task->comm);
}

static __always_inline void dial(struct bpf_sock_addr *ctx, const struct bpf_guarded *destination) {
  if (!bpf_map_lookup_elem(&guarded, destination)) return;
  if (!is_ours(bpf_get_netns_cookie(ctx)) || !ctx->sk) return;
  struct bpf_connection *entry = bpf_sk_storage_get(&dialled, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!entry) {  // what a socket may keep with it is bounded, and a program can use that up (optmem_max)
    refuse(&refused_full);
    return;
  }
  struct task_struct *task = bpf_get_current_task_btf();
  look_at(task, &entry->connector);
  look_at_parent(task->real_parent, &entry->parent);
  look_at_image(task, &entry->image);
  entry->parent_file = (__u64)task->real_parent->mm->exe_file;
  entry->cgroup = bpf_get_current_cgroup_id();
  entry->quota_cgroup = quota_cgroup(task);
}

SEC("cgroup/connect4")
int at_connect4(struct bpf_sock_addr *ctx) {
  struct bpf_guarded destination = {};
  destination.address[10] = destination.address[11] = 0xff;
  __u32 address = ctx->user_ip4;
  __builtin_memcpy(&destination.address[12], &address, sizeof address);
  destination.port = bpf_ntohs((__u16)ctx->user_port);
  dial(ctx, &destination);
  return 1;
}

SEC("cgroup/connect6")
int at_connect6(struct bpf_sock_addr *ctx) {
  struct bpf_guarded destination = {};
  __u32 words[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  __builtin_memcpy(destination.address, words, sizeof words);
  destination.port = bpf_ntohs((__u16)ctx->user_port);
  dial(ctx, &destination);
  return 1;
}

static __always_inline bool take_quota(__u64 cgroup) {
  __u32 none = 0;
  bpf_map_update_elem(&used, &cgroup, &none, BPF_NOEXIST);
  __u32 *count = bpf_map_lookup_elem(&used, &cgroup);
  if (!count) return false;
  if (__sync_fetch_and_add(count, 1) < quota) return true;
  __sync_fetch_and_sub(count, 1);
  return false;
}

// An entry of none goes with forget_closed(). A connect in that very moment may be counted nowhere: it gives back nothing.
static __always_inline void give_back_quota(__u64 cgroup) {
  __u32 *count = bpf_map_lookup_elem(&used, &cgroup);
  if (count && __sync_fetch_and_sub(count, 1) == 0) __sync_fetch_and_add(count, 1);
}

static __always_inline bool to_guarded(struct bpf_sock_ops *ctx, struct bpf_guarded *destination) {
  // All are read, then chosen from: the verifier lets nobody compute where in `ctx` to read.
  __u32 ip4 = ctx->remote_ip4;
  __u32 words[4] = {ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2], ctx->remote_ip6[3]};
  barrier_var(ip4);
  barrier_var(words[3]);
  if (ctx->family == AF_INET) {
    words[0] = words[1] = 0;
    words[2] = bpf_htonl(0xffff);
    words[3] = ip4;
  }
  __builtin_memcpy(destination->address, words, sizeof words);
  destination->port = bpf_ntohl(ctx->remote_port);
  return bpf_map_lookup_elem(&guarded, destination) != 0;
}

static __always_inline void open_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk) {
  struct bpf_guarded destination = {};
  if (!is_ours(bpf_get_netns_cookie(ctx))) return;  // what has a record is followed to its end, wherever it is
  if (!to_guarded(ctx, &destination)) return;
  struct bpf_connection *entry = bpf_sk_storage_get(&dialled, sk, 0, 0);
  if (!entry || !entry->connector.tgid) return;
  __u32 differs = difference(bpf_get_current_task_btf(), entry);
  entry->connected_ns = bpf_ktime_get_ns();
  entry->numbers = entry->closed_ns = 0;
  entry->sent = 0;
  __builtin_memcpy(entry->remote_address, destination.address, sizeof entry->remote_address);
  entry->remote_port = destination.port;
  entry->local_port = ctx->local_port;
  entry->flags = differs;
  entry->sole = entry->by_ring = 0;
  entry->last_sender = 0;
  entry->over = 0;
  struct sock *socket = (void *)bpf_skc_to_tcp_sock(sk);
  if (!socket) return;
  struct tcp_sock___mptcp *tcp = (void *)socket;
  entry->mptcp = bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ(tcp, is_mptcp);
  entry->socket_uid = socket->sk_uid.val;
  entry->socket_inode = BPF_CORE_READ((struct socket_alloc *)socket->sk_socket, vfs_inode.i_ino);
  if (!take_quota(entry->quota_cgroup)) {
    refuse(&refused_quota);
    return;
  }
  struct bpf_connection_id id = {bpf_get_socket_cookie(ctx), entry->connected_ns};
  if (bpf_map_update_elem(&connections, &id, entry, BPF_NOEXIST) != 0) {
    give_back_quota(entry->quota_cgroup);
    refuse(&refused_full);
    return;
  }
  __sync_fetch_and_add(&recorded, 1);
  bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline struct bpf_connection *record_of(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct bpf_connection_id *id) {
  struct bpf_connection *entry = bpf_sk_storage_get(&dialled, sk, 0, 0);
  if (!entry) return 0;
  id->cookie = bpf_get_socket_cookie(ctx);
  id->connected_ns = entry->connected_ns;
  return bpf_map_lookup_elem(&connections, id);
}

// The first numbers that the client and the other end count with, each as the client's end has it.
static __always_inline __u64 numbers(__u32 clients, __u32 others) {
  return (__u64)clients << 32 | others;
}

// At the client's end, before it answers the SYN-ACK: the other end is established by that answer.
static __always_inline void establish(struct bpf_sock_ops *ctx, struct bpf_sock *sk) {
  struct bpf_connection_id id = {};
  struct bpf_connection *connection = record_of(ctx, sk, &id);
  if (!connection) return;
  __u64 key = numbers(ctx->snd_una, ctx->rcv_nxt);
  connection->numbers = key;
  if (bpf_map_update_elem(&established, &key, &id, BPF_NOEXIST) == 0) return;
  struct bpf_connection_id *other = bpf_map_lookup_elem(&established, &key);
  if (other) other->cookie = 0;  // two claim one pair of numbers (TCP_REPAIR can): it is nobody's
}

static __always_inline void join(struct bpf_sock_ops *ctx, struct bpf_sock *sk) {
  __u64 key = numbers(ctx->rcv_nxt, ctx->snd_una);
  struct bpf_connection_id *id = bpf_map_lookup_elem(&established, &key);
  if (!id || !id->cookie) return;
  struct bpf_connection_id *client = bpf_sk_storage_get(&accepted, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!client) return;
  *client = *id;
  struct bpf_connection *connection = bpf_map_lookup_elem(&connections, client);
  if (connection) __sync_fetch_and_or(&connection->over, BPF_JOINED);
  bpf_map_delete_elem(&established, &key);
}

static __always_inline bool remove_record(struct bpf_connection_id *id, struct bpf_connection *connection) {
  __u64 cgroup = connection->quota_cgroup;
  __u64 key = connection->numbers;
  if (bpf_map_delete_elem(&connections, id) != 0) return false;
  give_back_quota(cgroup);
  if (key) bpf_map_delete_elem(&established, &key);
  return true;
}

// One end is closed: the second of them to be so takes the record along.
static __always_inline void end(struct bpf_connection_id *id, struct bpf_connection *connection, __u32 which) {
  __u32 both = BPF_CLIENT_CLOSED | BPF_ACCEPTED_CLOSED;
  __u32 before = __sync_fetch_and_or(&connection->over, which);
  if (((before | which) & both) == both) remove_record(id, connection);
}

static __always_inline void close_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk) {
  struct bpf_connection_id id = {};
  struct bpf_connection *connection = record_of(ctx, sk, &id);
  if (!connection) return;
  // The other end has acknowledged its FIN and is not joined with it: it is somebody's elsewhere, the service's say. After a
  // reset it may still be on its way here.
  __u32 from = ctx->args[0];
  bool answered = from == TCP_FIN_WAIT2 || from == TCP_LAST_ACK || from == TCP_CLOSING;
  if (!connection->numbers || (answered && !(connection->over & BPF_JOINED))) {
    remove_record(&id, connection);
    return;
  }
  connection->closed_ns = bpf_ktime_get_ns();
  end(&id, connection, BPF_CLIENT_CLOSED);
}

SEC("sockops")
int at_socket_event(struct bpf_sock_ops *ctx) {
  struct bpf_sock *sk = ctx->sk;
  if (!sk) return 1;
  switch (ctx->op) {
    case BPF_SOCK_OPS_TCP_CONNECT_CB: open_connection(ctx, sk); break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB: establish(ctx, sk); break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
      if (bpf_get_netns_cookie(ctx) == netns_cookie) join(ctx, sk);  // the gateway listens nowhere else
      break;
    case BPF_SOCK_OPS_STATE_CB:
      if (ctx->args[1] == TCP_CLOSE) close_connection(ctx, sk);
      break;
  }
  return 1;
}

static __always_inline void release_accepted(struct bpf_sock *sk) {
  struct bpf_connection_id *client = bpf_sk_storage_get(&accepted, sk, 0, 0);
  if (!client) return;
  struct bpf_connection_id id = *client;
  struct bpf_connection *connection = bpf_map_lookup_elem(&connections, &id);
  if (connection) end(&id, connection, BPF_ACCEPTED_CLOSED);
}

static __always_inline void release_client(struct bpf_sock *sk) {
  struct bpf_connection *dial = bpf_sk_storage_get(&dialled, sk, 0, 0);
  if (!dial) return;
  struct bpf_connection_id id = {bpf_get_socket_cookie(sk), dial->connected_ns};
  struct bpf_connection *connection = bpf_map_lookup_elem(&connections, &id);
  if (connection) __sync_fetch_and_or(&connection->over, BPF_CLIENT_RELEASED);
}

SEC("cgroup/sock_release")
int at_release(struct bpf_sock *ctx) {
  release_accepted(ctx);
  release_client(ctx);
  return 1;
}

// Has nobody else the socket: no other descriptor of it anywhere, none in flight, none in an io_uring? A send in a
// process with threads holds a reference of its own (fdget in fs/file.c), one without threads none. Whoever looks at
// /proc/PID/fd holds one for a moment as well, so "no" is not certain until the socket is released.
static __always_inline bool sole_holder(struct sock *sk, struct task_struct *task) {
  struct socket *socket = sk->sk_socket;
  if (!socket || task->io_uring || (task->flags & PF_USER_WORKER_OR_KTHREAD)) return false;
  struct file *file = socket->file;
  if (!file) return false;
  int sharers = task->files->count.counter;
  if (sharers != task->signal->live.counter) return false;  // the table is another process's too
  __s64 references = 0;
  if (bpf_core_field_exists(file->f_ref)) {
    references = file->f_ref.refcnt.counter + 1;  // 0 is one reference (file_ref.h)
  } else {
    references = ((struct file___counted *)file)->f_count.counter;
  }
  return references == (sharers > 1 ? 2 : 1);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(at_send, struct sock *sk, int sent, int flags) {
  if (sent <= 0) return 0;
  struct bpf_connection *dial = bpf_sk_storage_get(&dialled, sk, 0, 0);
  if (!dial) return 0;
  struct bpf_connection_id id = {bpf_get_socket_cookie(sk), dial->connected_ns};
  struct bpf_connection *entry = bpf_map_lookup_elem(&connections, &id);
  if (!entry) return 0;
  struct task_struct *task = bpf_get_current_task_btf();
  __u32 differs = difference(task, entry);
  if (differs) __sync_fetch_and_or(&entry->flags, differs);
  entry->sole = sole_holder(sk, task);
  if (task->io_uring || (task->flags & PF_USER_WORKER_OR_KTHREAD)) entry->by_ring = 1;
  entry->last_sender = (__u32)task->tgid;
  // Last, and a full barrier: who sees these bytes sees the above.
  __sync_fetch_and_add(&entry->sent, sent);
  return 0;
}

struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

struct thread_walk {
  struct list_head *node, *head;
  int tgid;
  struct mm_struct *mm;
};

static long look_for_memory(__u32 count, struct thread_walk *walk) {
  struct list_head *node = walk->node;
  if (node == walk->head) return 1;
  struct task_struct *thread = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);
  if (BPF_CORE_READ(thread, tgid) == walk->tgid) walk->mm = BPF_CORE_READ(thread, mm);
  if (walk->mm) return 1;
  walk->node = BPF_CORE_READ(node, next);
  return 0;
}

// The main thread has no memory any more when it has ended: any thread's is the process's.
static __always_inline void look_at_memory(struct task_struct *task, struct bpf_task *out) {
  if (out->mm) return;
  struct list_head *head = (void *)BPF_CORE_READ(task, signal) + bpf_core_field_offset(struct signal_struct, thread_head);
  struct thread_walk walk = {BPF_CORE_READ(head, next), head, (int)out->tgid, 0};
  bpf_loop(MAX_THREADS, look_for_memory, &walk, 0);
  struct mm_struct___image *mm = (void *)walk.mm;
  if (!mm) return;
  struct file___opened *file = BPF_CORE_READ(mm, exe_file);
  bool opened_for_exec = BPF_CORE_READ(file, f_flags) & FMODE_EXEC;
  out->mm = (__u64)mm;
  if (!opened_for_exec || BPF_CORE_READ(file, f_cred, user_ns, level) != 0) out->unusual |= BPF_TASK_EXE_CHANGED;
}

SEC("syscall")
int look_at_process(struct bpf_look *look) {
  struct task_struct *task = bpf_task_from_pid((int)look->tgid);
  if (!task) return 0;
  look_at(task, &look->process);
  look_at_memory(task, &look->process);
  look_at_parent(task->real_parent, &look->parent);
  look_at_memory(task->real_parent, &look->parent);
  look->ended = task->signal->live.counter == 0;
  look->found = 1;
  bpf_task_release(task);
  return 0;
}

static long forget_one(void *map, struct bpf_connection_id *id, struct bpf_connection *connection, struct bpf_forget *forget) {
  __u64 closed = connection->closed_ns;
  if (closed == 0 || closed >= forget->before_ns) return 0;
  struct bpf_connection_id copy = *id;
  if (remove_record(&copy, connection)) forget->forgotten++;
  return 0;
}

static long forget_unused(void *map, __u64 *cgroup, __u32 *count, void *context) {
  if (*count == 0) bpf_map_delete_elem(&used, cgroup);
  return 0;
}

// Of a connection that was established and never accepted by anybody here, nothing tells when its record may go.
SEC("syscall")
int forget_closed(struct bpf_forget *forget) {
  struct bpf_forget own = {forget->before_ns, 0};
  bpf_for_each_map_elem(&connections, forget_one, &own, 0);
  bpf_for_each_map_elem(&used, forget_unused, 0, 0);
  forget->forgotten = own.forgotten;
  return 0;
}
