// What attribute.bpf.c writes and attribute/bpf_connections.cpp reads. Plain C, host byte order, no padding.
#pragma once

#include "task.h"

// What happened on a connection that makes it more than one process's: bits of bpf_connection::flags. They stay.
enum {
  BPF_SENT_AFTER_EXEC = 1,          // the process that connected exec'd, and sent then
  BPF_SENT_WITH_OTHER_RIGHTS = 2,   // it changed its credentials, or was traced from then on
  BPF_SENT_BY_ANOTHER = 4,          // another process sent, or made the connection (TCP_FASTOPEN_CONNECT)
  BPF_SENT_UNDER_ANOTHER_PARENT = 8,  // its parent ended, exec'd, or changed its credentials
};

// One connection of a client to a guarded address, from before its SYN until its socket is closed or connected anew.
struct bpf_connection {
  struct bpf_task connector;  // who called connect(2)
  struct bpf_task parent;     // of the connector; all zero: none
  IMDSGATE_U64 cgroup;        // the connector's cgroup2 id
  IMDSGATE_U64 quota_cgroup;  // the one it is counted for
  IMDSGATE_U64 connected_ns;  // CLOCK_MONOTONIC, before the SYN; tells two connections of one socket apart
  IMDSGATE_U64 netns;         // cookie of the client's network namespace
  IMDSGATE_U64 inode;         // of the socket
  IMDSGATE_U64 sent;          // bytes; raised after everything below was brought up to date
  unsigned char local_address[16];   // network order, IPv4 in its v4-mapped form
  unsigned char remote_address[16];
  IMDSGATE_U32 remote_port;
  IMDSGATE_U32 local_port;
  IMDSGATE_U32 flags;
  IMDSGATE_U32 sole;         // at the last send nobody but the sender had the socket
  IMDSGATE_U32 last_sender;  // tgid; 0: nothing was sent
  IMDSGATE_U32 syn;          // the sequence number of its SYN
  IMDSGATE_U32 socket_uid;   // who created the socket
  IMDSGATE_U32 reserved;
};

// A connection of another network namespace, as it arrives in the gateway's: addresses and ports are the namespace's own
// affair, the sequence number of its SYN is the kernel's choice (secure_tcp_seq).
struct bpf_arrival {
  unsigned char local_address[16];
  unsigned char remote_address[16];
  IMDSGATE_U32 local_port;
  IMDSGATE_U32 remote_port;
  IMDSGATE_U32 syn;
};

struct bpf_arrived {
  IMDSGATE_U64 cookie;  // of the client's socket, the first that was so
  IMDSGATE_U64 sockets;  // that are so; more than one: nobody knows which arrived
};

struct bpf_guarded {
  unsigned char address[16];
  IMDSGATE_U32 port;
};

// Asked of the program look_at_process; the kernel fills in the rest. `found` 0: there is no such process.
struct bpf_look {
  IMDSGATE_U32 tgid;
  IMDSGATE_U32 found;
  struct bpf_task process;
  struct bpf_task parent;
};

#define BPF_MAX_CONNECTIONS 8192
#define BPF_MAX_GUARDED 64
#define BPF_QUOTA 1024  // connections of one cgroup (bpf_connection::quota_cgroup)
