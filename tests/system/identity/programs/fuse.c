/* fuse CASE: the page with its arguments is one of a file of a file system of its own (FUSE), which answers all but reads: whoever
 * touches the page waits (/proc/PID/cmdline does not since Linux 4.17: what lies in a file is no argument there). A thread asks for
 * 1, since it has another stack, and while others may wait another program asks for 2. */
#include "client.h"
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define AT "/mnt"

static int device;
static char name[64];
static char *page;
static size_t size;

static void reply(struct fuse_in_header const *to, int error, void const *body, size_t length) {
  struct fuse_out_header header = {.len = (unsigned)(sizeof header + length), .error = -error, .unique = to->unique};
  struct iovec const parts[2] = {{&header, sizeof header}, {(void *)body, length}};
  must(writev(device, parts, length ? 2 : 1) >= 0 || errno == ENOENT, "/dev/fuse");
}

static struct fuse_attr attributes(unsigned long node) {
  int const root = node == FUSE_ROOT_ID;
  return (struct fuse_attr){.ino = node, .mode = root ? S_IFDIR | 0755 : S_IFREG | 0755, .nlink = 1, .size = root ? 0 : size};
}

/* One directory with one file. Ends when nobody has it mounted, when whoever it is for has ended or, since who waits for an answer
 * cannot be killed, would have (FUSE_INTERRUPT), and in any case soon: its end ends all waiting. */
static void serve(void) {
  alarm(25);
  static char request[(1 << 20) + 4096] __attribute__((aligned(16)));
  while (read(device, request, sizeof request) > 0) {
    struct fuse_in_header const *const header = (struct fuse_in_header const *)(void *)request;
    struct fuse_init_out const begun = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096};
    struct fuse_entry_out const found = {.nodeid = 2, .attr = attributes(2)};
    struct fuse_attr_out const are = {.attr = attributes(header->nodeid)};
    struct fuse_open_out const opened = {0};
    switch (header->opcode) {
      case FUSE_INIT: reply(header, 0, &begun, sizeof begun); break;
      case FUSE_LOOKUP: reply(header, 0, &found, sizeof found); break;
      case FUSE_GETATTR: reply(header, 0, &are, sizeof are); break;
      case FUSE_OPEN: reply(header, 0, &opened, sizeof opened); break;
      case FUSE_FLUSH:
      case FUSE_RELEASE: reply(header, 0, NULL, 0); break;
      case FUSE_INTERRUPT: _exit(0);
      case FUSE_READ: /* never */
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET: break;
      default: reply(header, ENOSYS, NULL, 0);
    }
  }
  _exit(0);
}

static void *thread(void *unused) {
  (void)unused;
  int const file = open(AT "/file", O_RDONLY | O_CLOEXEC);
  must(file >= 0, AT "/file");
  must(mmap(page, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == page, "mmap");
  close(file);
  int const fd = dial();
  told(1, getpid());
  ask(fd, name, 1);
  answered(fd);
  pid_t const other = vfork(); /* a copy of its memory is none of the page */
  if (other == 0) {
    char *const none[] = {NULL}; /* its environment is on that page, too */
    execle(beside_me("asker"), "asker", name, "2", "dial", "-", (char *)NULL, none);
    _exit(1);
  }
  must(other > 0 && end_of(other) == 0, "asker");
  _exit(0);
}

/* Where the main thread waits: on another page of its stack. */
static __attribute__((noinline, noreturn)) void wait_aside(void) {
  char room[1 << 16];
  pthread_t other;
  must(pthread_create(&other, NULL, thread, room) == 0, "pthread_create");
  for (;;) pause();
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  snprintf(name, sizeof name, "%s", argv[1]);
  size = (size_t)sysconf(_SC_PAGESIZE);
  page = (char *)((unsigned long)argv[0] & ~(size - 1));
  must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "unshare"); /* it goes with the last of these two */
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return SKIP;
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("identity", AT, "fuse", MS_NOSUID | MS_NODEV, options) != 0) return SKIP;
  if (fork_with_me() == 0) serve();
  close(device);
  wait_aside();
}
