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

// What has become of its two ends: bits of bpf_connection::over. When both are closed the record is removed.
enum {
  BPF_CLIENT_CLOSED = 1,    // the client's socket is closed, or connected anew
  BPF_ACCEPTED_CLOSED = 2,  // nobody has a descriptor of the accepted one any more
  BPF_JOINED = 4,           // the accepted one knows this record
  BPF_CLIENT_RELEASED = 8,  // nobody has a descriptor, or anything else, of the client's socket any more
};

// What a process runs. `file` is the address of the kernel's struct file of the executable: an exec makes another, a
// fork has its parent's, and it is nobody else's as long as one of them has it. device: 12 bits of major, 20 of minor.
struct bpf_image {
  IMDSGATE_U64 file;
  IMDSGATE_U64 inode;
  IMDSGATE_U64 stack_start, arg_start;
  IMDSGATE_U32 device;
  IMDSGATE_U32 reserved;
  char comm[16];
};

// One connection of one socket. Time is CLOCK_MONOTONIC, before the SYN.
struct bpf_connection_id {
  IMDSGATE_U64 cookie;
  IMDSGATE_U64 connected_ns;
};

// One connection of a client to a guarded address, from before its SYN until both its ends are closed: who sent a request
// and ended is asked about when the gateway gets to it.
struct bpf_connection {
  struct bpf_task connector;  // who called connect(2)
  struct bpf_task parent;     // of the connector; all zero: none
  struct bpf_image image;     // the connector's
  IMDSGATE_U64 parent_file;   // bpf_image::file of the parent's
  IMDSGATE_U64 cgroup;        // the connector's cgroup2 id
  IMDSGATE_U64 quota_cgroup;  // the one it is counted for
  IMDSGATE_U64 connected_ns;
  IMDSGATE_U64 numbers;       // that the two ends begin to count bytes with; 0: it was never established
  IMDSGATE_U64 closed_ns;     // when the client's socket was; 0: it is open
  IMDSGATE_U64 socket_inode;
  IMDSGATE_U64 sent;          // bytes; raised after everything below was brought up to date
  unsigned char remote_address[16];  // network order, IPv4 in its v4-mapped form
  IMDSGATE_U32 remote_port;
  IMDSGATE_U32 local_port;
  IMDSGATE_U32 flags;
  IMDSGATE_U32 sole;         // at the last send nobody but the sender had the socket
  IMDSGATE_U32 by_ring;      // something was sent by a worker, or by who has an io_uring: others may have that
  IMDSGATE_U32 last_sender;  // tgid; 0: nothing was sent
  IMDSGATE_U32 socket_uid;   // who made the socket
  IMDSGATE_U32 over;
  IMDSGATE_U32 mptcp;        // what is sent is sent on another socket, and not counted here
  IMDSGATE_U32 reserved;
};

struct bpf_guarded {
  unsigned char address[16];
  IMDSGATE_U32 port;
};

// Asked of the program look_at_process; the kernel fills in the rest. `found` 0: there is no such process. `ended`: it
// has no thread left.
struct bpf_look {
  IMDSGATE_U32 tgid;
  IMDSGATE_U32 found;
  IMDSGATE_U32 ended;
  IMDSGATE_U32 reserved;
  struct bpf_task process;
  struct bpf_task parent;
};

// Asked of the program forget_closed: the records of connections that the client closed before `before_ns` go.
struct bpf_forget {
  IMDSGATE_U64 before_ns;
  IMDSGATE_U64 forgotten;
};

#define BPF_MAX_GUARDED 64
#define BPF_QUOTA 6144  // records of one cgroup (bpf_connection::quota_cgroup): what waits for accept(2), and what is served
#define BPF_MAX_CONNECTIONS (8 * BPF_QUOTA)
