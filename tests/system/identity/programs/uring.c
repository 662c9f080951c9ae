/* uring CASE inline | async | sqpoll | direct: connects and sends through an io_uring; async by a worker of the ring, sqpoll
 * by a thread of the kernel's, direct with a socket that has no descriptor. */
#include "client.h"
#include <linux/io_uring.h>
#include <sys/mman.h>

static int ring;
static struct io_uring_params parameters;
static char *submissions, *completions;
static struct io_uring_sqe *entries;

static unsigned *at(char *base, unsigned offset) { return (unsigned *)(void *)(base + offset); }

static void open_ring(unsigned flags) {
  parameters.flags = flags;
  parameters.sq_thread_idle = 1000;
  ring = (int)syscall(SYS_io_uring_setup, 8, &parameters);
  if (ring < 0 && (errno == ENOSYS || errno == EPERM)) _exit(SKIP);
  must(ring >= 0, "io_uring_setup");
  size_t const one = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
  size_t const two = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
  int const both = PROT_READ | PROT_WRITE;
  submissions = mmap(NULL, one, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  completions = mmap(NULL, two, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
  entries = mmap(NULL, parameters.sq_entries * sizeof *entries, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  must(submissions != MAP_FAILED && completions != MAP_FAILED && entries != MAP_FAILED, "mmap");
}

/* One operation, to its end. */
static int run(struct io_uring_sqe operation) {
  unsigned *const tail = at(submissions, parameters.sq_off.tail);
  unsigned const slot = *tail & *at(submissions, parameters.sq_off.ring_mask);
  entries[slot] = operation;
  at(submissions, parameters.sq_off.array)[slot] = slot;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  unsigned flags = IORING_ENTER_GETEVENTS;
  if (parameters.flags & IORING_SETUP_SQPOLL) flags |= IORING_ENTER_SQ_WAKEUP;
  must(syscall(SYS_io_uring_enter, ring, 1, 1, flags, NULL, 0) >= 0, "io_uring_enter");
  unsigned *const head = at(completions, parameters.cq_off.head);
  while (*head == __atomic_load_n(at(completions, parameters.cq_off.tail), __ATOMIC_ACQUIRE)) sched_yield();
  struct io_uring_cqe const *const done =
      (struct io_uring_cqe *)(void *)(completions + parameters.cq_off.cqes) + (*head & *at(completions, parameters.cq_off.ring_mask));
  int const result = done->res;
  __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
  return result;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int const direct = strcmp(argv[2], "direct") == 0;
  unsigned char flags = strcmp(argv[2], "async") == 0 ? IOSQE_ASYNC : 0;
  open_ring(strcmp(argv[2], "sqpoll") == 0 ? IORING_SETUP_SQPOLL : 0);
  int fd = 0;
  if (direct) {
    int none = -1;
    must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &none, 1) == 0, "IORING_REGISTER_FILES");
    struct io_uring_sqe const open = {.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM, .file_index = 1};
    int const made = run(open);
    if (made == -EINVAL) return SKIP;
    must(made >= 0, "IORING_OP_SOCKET");
    flags |= IOSQE_FIXED_FILE;
  } else {
    fd = socket(AF_INET, SOCK_STREAM, 0);
  }
  struct sockaddr_in const to = service(SERVICE);
  struct io_uring_sqe const connect = {.opcode = IORING_OP_CONNECT, .flags = flags, .fd = fd, .addr = (unsigned long)&to, .off = sizeof to};
  must(run(connect) == 0, "IORING_OP_CONNECT");
  char text[512];
  size_t const length = request_of(text, sizeof text, argv[1], 1);
  struct io_uring_sqe const send = {.opcode = IORING_OP_SEND, .flags = flags, .fd = fd, .addr = (unsigned long)text, .len = (unsigned)length};
  must(run(send) == (int)length, "IORING_OP_SEND");
  told(1, getpid());
  struct io_uring_sqe const receive = {.opcode = IORING_OP_RECV, .flags = flags, .fd = fd, .addr = (unsigned long)text, .len = sizeof text};
  must(run(receive) >= 0, "IORING_OP_RECV");
  return 0;
}
