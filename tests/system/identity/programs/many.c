/* many PROCESSES DESCRIPTORS: that many sleeping processes, each with that many descriptors; says "ready". They share
 * one memory, so that ten thousand cost little, and end with the first. */
#include "client.h"
#include <sys/resource.h>

static int descriptors;

static __attribute__((noreturn)) int sleeper(void *ready) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 0; i < descriptors; i++) must(dup(0) >= 0, "dup");
  send_byte(*(int *)ready);
  for (;;) pause();
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int const processes = atoi(argv[1]);
  descriptors = atoi(argv[2]);
  struct rlimit const limit = {(rlim_t)descriptors + 64, (rlim_t)descriptors + 64};
  if (descriptors > 900) must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
  int ready[2];
  must(pipe(ready) == 0, "pipe");
  char *const stacks = malloc((size_t)processes * 4096 + 16);
  must(stacks != NULL, "malloc");
  for (int i = 0; i < processes; i++) {
    char *const top = (char *)(((unsigned long)stacks + (size_t)(i + 1) * 4096) & ~15ul);
    must(clone(sleeper, top, CLONE_VM | SIGCHLD, &ready[1]) > 0, "clone");
  }
  for (int i = 0; i < processes; i++) wait_byte(ready[0]);
  say("ready\n");
  for (;;) pause();
}
