/* vfork CASE: asks in a child that has its parent's memory, while the parent waits. */
#include "client.h"

static char const *name;
static char stack[1 << 18] __attribute__((aligned(16)));

static int child(void *unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int const fd = dial();
  ask(fd, name, 1);
  told(1, (pid_t)syscall(SYS_getpid));
  answered(fd);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  name = argv[1];
  pid_t const pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
  must(pid > 0, "clone");
  return end_of(pid);
}
