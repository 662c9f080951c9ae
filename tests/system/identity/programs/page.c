/* page CASE: the page of its stack that has its arguments is never filled again (userfaultfd): whoever reads it waits, so
 * everything is done by a thread, which has another stack. */
#include "client.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static char name[64];
static char *page;
static unsigned long size;
static int faults;

static void *thread(void *unused) {
  (void)unused;
  struct uffdio_register missing = {.range = {(unsigned long)page, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  must(ioctl(faults, UFFDIO_REGISTER, &missing) == 0, "UFFDIO_REGISTER");
  must(madvise(page, size, MADV_DONTNEED) == 0, "madvise");
  int const fd = dial();
  told(1, getpid());
  ask(fd, name, 1);
  answered(fd);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  snprintf(name, sizeof name, "%s", argv[1]);
  faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (faults < 0) return SKIP;
  struct uffdio_api api = {.api = UFFD_API};
  must(ioctl(faults, UFFDIO_API, &api) == 0, "UFFDIO_API");
  size = (unsigned long)sysconf(_SC_PAGESIZE);
  page = (char *)((unsigned long)argv[0] & ~(size - 1));
  pthread_t other;
  must(pthread_create(&other, NULL, thread, NULL) == 0, "pthread_create");
  pthread_join(other, NULL);
  return 0;
}
