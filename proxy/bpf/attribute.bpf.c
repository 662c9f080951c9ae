// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who connects to a guarded address, and who sends on that connection: written down while they do it, so that neither
// has to be looked for afterwards. Loaded by attribute/bpf_connections.cpp.
//
//   connect4, connect6   in connect(2): who calls it. Kept with the socket, because the source port is not chosen yet
//   sockops              before the SYN: opens the connection's entry; at its close: removes it
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
struct file { file_ref_t f_ref; };                // since Linux 6.13
struct file___counted { atomic64_t f_count; };  // before
struct socket { struct file *file; };
struct sock { struct socket *sk_socket; kuid_t sk_uid; };
struct inode { unsigned long i_ino; };
struct file___named { struct inode *f_inode; };
struct tcp_sock { __u32 write_seq; };
#pragma clang attribute pop

#define TCP_CLOSE 7
#define AF_INET 2
#define PF_USER_WORKER_OR_KTHREAD (0x00004000 | 0x00000010 | 0x00200000)  // PF_USER_WORKER, PF_IO_WORKER, PF_KTHREAD

// Set before loading.
const volatile __u64 netns_cookie = 0;  // the gateway's network namespace
const volatile __u32 quota = 0;         // connections a cgroup may have here

// Set by user space: connections of other network namespaces are written down, too.
volatile __u32 every_netns = 0;

// How many connections have no entry, and why; read by user space.
__u64 recorded = 0, refused_quota = 0, refused_full = 0;

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

struct {  // by socket cookie
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, __u64);
  __type(value, struct bpf_connection);
} connections SEC(".maps");

struct {  // those of `connections` that are another network namespace's
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, struct bpf_arrival);
  __type(value, struct bpf_arrived);
} arrivals SEC(".maps");

struct {  // by bpf_connection::quota_cgroup: how many entries of `connections` are its own
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_MAX_CONNECTIONS);
  __type(key, __u64);
  __type(value, __u32);
} used SEC(".maps");

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
  look_at(now->real_parent, &parent);
  if (!same_process(&parent, &connection->parent) || !same_program(&parent, &connection->parent) ||
      !same_rights(&parent, &connection->parent)) {
    flags |= BPF_SENT_UNDER_ANOTHER_PARENT;
  }
  return flags;
}

// A group of cgroups that one user or one service is likely to be confined to, however many it makes below: the second
// level (user.slice/user-1000.slice, system.slice/a.service), or what there is.
static __always_inline __u64 quota_cgroup(void) {
  __u64 id = bpf_get_current_ancestor_cgroup_id(2);
  return id ? id : bpf_get_current_cgroup_id();
}

static __always_inline bool is_ours(__u64 netns) { return netns == netns_cookie || every_netns; }

static __always_inline void dial(struct bpf_sock_addr *ctx, const struct bpf_guarded *destination) {
  if (!bpf_map_lookup_elem(&guarded, destination)) return;
  if (!is_ours(bpf_get_netns_cookie(ctx)) || !ctx->sk) return;
  struct bpf_connection *entry = bpf_sk_storage_get(&dialled, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!entry) return;
  struct task_struct *task = bpf_get_current_task_btf();
  look_at(task, &entry->connector);
  look_at(task->real_parent, &entry->parent);
  entry->cgroup = bpf_get_current_cgroup_id();
  entry->quota_cgroup = quota_cgroup();
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

static __always_inline void give_back_quota(__u64 cgroup) {
  __u32 *count = bpf_map_lookup_elem(&used, &cgroup);
  // A connect in this very moment may be counted nowhere by that: the quota is then one larger until it closes.
  if (count && __sync_fetch_and_sub(count, 1) == 1) bpf_map_delete_elem(&used, &cgroup);
}

static __always_inline struct bpf_arrival arrival_of(const struct bpf_connection *entry) {
  struct bpf_arrival key = {};
  __builtin_memcpy(key.local_address, entry->local_address, sizeof key.local_address);
  __builtin_memcpy(key.remote_address, entry->remote_address, sizeof key.remote_address);
  key.local_port = entry->local_port;
  key.remote_port = entry->remote_port;
  key.syn = entry->syn;
  return key;
}

static __always_inline void add_arrival(const struct bpf_connection *entry, __u64 cookie) {
  struct bpf_arrival key = arrival_of(entry);
  struct bpf_arrived first = {.cookie = cookie, .sockets = 1};
  if (bpf_map_update_elem(&arrivals, &key, &first, BPF_NOEXIST) == 0) return;
  struct bpf_arrived *known = bpf_map_lookup_elem(&arrivals, &key);
  if (known) __sync_fetch_and_add(&known->sockets, 1);
}

static __always_inline void remove_arrival(const struct bpf_connection *entry) {
  struct bpf_arrival key = arrival_of(entry);
  struct bpf_arrived *known = bpf_map_lookup_elem(&arrivals, &key);
  if (known && __sync_fetch_and_sub(&known->sockets, 1) == 1) bpf_map_delete_elem(&arrivals, &key);
}

// Which socket it is, for those who cannot ask sock_diag about its network namespace.
static __always_inline void look_at_socket(struct bpf_sock *sk, struct bpf_connection *entry) {
  struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
  if (!tcp) return;
  entry->syn = tcp->write_seq;  // tcp_connect() sends it with this one
  struct sock *base = (struct sock *)tcp;
  entry->socket_uid = base->sk_uid.val;
  struct socket *socket = base->sk_socket;
  struct file___named *file = socket ? (struct file___named *)socket->file : 0;
  struct inode *inode = file ? file->f_inode : 0;
  entry->inode = inode ? inode->i_ino : 0;
}

static __always_inline void set_local_address(struct bpf_sock_ops *ctx, struct bpf_connection *entry) {
  __u32 ip4 = ctx->local_ip4;
  __u32 words[4] = {ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]};
  barrier_var(ip4);
  barrier_var(words[3]);
  if (ctx->family == AF_INET) {
    words[0] = words[1] = 0;
    words[2] = bpf_htonl(0xffff);
    words[3] = ip4;
  }
  __builtin_memcpy(entry->local_address, words, sizeof words);
}

static __always_inline void open_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk) {
  __u64 netns = bpf_get_netns_cookie(ctx);
  if (!is_ours(netns)) return;
  struct bpf_guarded destination = {};
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
  __builtin_memcpy(destination.address, words, sizeof words);
  destination.port = bpf_ntohl(ctx->remote_port);
  if (!bpf_map_lookup_elem(&guarded, &destination)) return;
  struct bpf_connection *entry = bpf_sk_storage_get(&dialled, sk, 0, 0);
  if (!entry || !entry->connector.tgid) return;
  __u32 differs = difference(bpf_get_current_task_btf(), entry);
  entry->connected_ns = bpf_ktime_get_ns();
  entry->sent = 0;
  __builtin_memcpy(entry->remote_address, destination.address, sizeof entry->remote_address);
  entry->remote_port = destination.port;
  entry->local_port = ctx->local_port;
  entry->netns = netns;
  set_local_address(ctx, entry);
  look_at_socket(sk, entry);
  entry->flags = differs;
  entry->sole = 0;
  entry->last_sender = 0;
  if (!take_quota(entry->quota_cgroup)) {
    __sync_fetch_and_add(&refused_quota, 1);
    return;
  }
  __u64 cookie = bpf_get_socket_cookie(ctx);
  if (bpf_map_update_elem(&connections, &cookie, entry, BPF_NOEXIST) != 0) {
    give_back_quota(entry->quota_cgroup);
    __sync_fetch_and_add(&refused_full, 1);
    return;
  }
  if (netns != netns_cookie) add_arrival(entry, cookie);
  __sync_fetch_and_add(&recorded, 1);
  bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void close_connection(struct bpf_sock_ops *ctx) {
  __u64 cookie = bpf_get_socket_cookie(ctx);
  struct bpf_connection *entry = bpf_map_lookup_elem(&connections, &cookie);
  if (!entry) return;
  __u64 cgroup = entry->quota_cgroup;
  if (entry->netns != netns_cookie) remove_arrival(entry);
  if (bpf_map_delete_elem(&connections, &cookie) == 0) give_back_quota(cgroup);
}

SEC("sockops")
int at_socket_event(struct bpf_sock_ops *ctx) {
  if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
    struct bpf_sock *sk = ctx->sk;
    if (sk) open_connection(ctx, sk);
  } else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == TCP_CLOSE) {
    close_connection(ctx);
  }
  return 1;
}

// Has nobody else the socket: no other descriptor of it anywhere, none in flight, none in an io_uring? A send in a
// process with threads holds a reference of its own (fdget in fs/file.c), one without threads none.
static __always_inline bool sole_holder(struct sock *sk, struct task_struct *task) {
  struct socket *socket = sk->sk_socket;
  if (!socket || task->io_uring || (task->flags & PF_USER_WORKER_OR_KTHREAD)) return false;
  struct file *file = socket->file;
  if (!file) return false;
  int sharers = task->files->count.counter;
  if (sharers != task->signal->nr_threads) return false;  // the table is another process's too
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
  if (sent <= 0 || !bpf_sk_storage_get(&dialled, sk, 0, 0)) return 0;
  __u64 cookie = bpf_get_socket_cookie(sk);
  struct bpf_connection *entry = bpf_map_lookup_elem(&connections, &cookie);
  if (!entry) return 0;
  struct task_struct *task = bpf_get_current_task_btf();
  __u32 differs = difference(task, entry);
  if (differs) __sync_fetch_and_or(&entry->flags, differs);
  entry->sole = sole_holder(sk, task);
  entry->last_sender = (__u32)task->tgid;
  // Last, and a full barrier: who sees these bytes sees the above.
  __sync_fetch_and_add(&entry->sent, sent);
  return 0;
}

struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

SEC("syscall")
int look_at_process(struct bpf_look *look) {
  struct task_struct *task = bpf_task_from_pid((int)look->tgid);
  if (!task) return 0;
  look_at(task, &look->process);
  look_at(task->real_parent, &look->parent);
  look->found = 1;
  bpf_task_release(task);
  return 0;
}
