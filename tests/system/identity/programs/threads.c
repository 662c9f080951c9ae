/* threads CASE main-gone | own-table: the socket is a thread's, which the process's own directory does not show. */
#include "client.h"
#include <pthread.h>

static char const *name, *how;

static int leader_is_gone(void) {
  char text[512] = "";
  int const file = open("/proc/self/stat", O_RDONLY);
  ssize_t const got = read(file, text, sizeof text - 1);
  close(file);
  char const *const state = got > 0 ? strrchr(text, ')') : NULL;
  return state && state[2] == 'Z';
}

static void *thread(void *unused) {
  (void)unused;
  if (strcmp(how, "own-table") == 0) must(unshare(CLONE_FILES) == 0, "unshare");
  while (strcmp(how, "main-gone") == 0 && !leader_is_gone()) sched_yield();
  int const fd = dial();
  ask(fd, name, 1);
  told(1, getpid());
  answered(fd);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  name = argv[1];
  how = argv[2];
  pthread_t other;
  must(pthread_create(&other, NULL, thread, NULL) == 0, "pthread_create");
  if (strcmp(how, "main-gone") == 0) syscall(SYS_exit, 0); /* this thread alone */
  pthread_join(other, NULL);
  return 0;
}
