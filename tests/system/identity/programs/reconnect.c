/* reconnect CASE: a child dissolves its parent's connection and makes another with the same socket. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int const fd = dial();
  ask(fd, argv[1], 1);
  told(1, getpid());
  answered(fd);
  pid_t const me = getpid();
  pid_t const child = fork_with_me();
  if (child == 0) {
    struct sockaddr const nothing = {.sa_family = AF_UNSPEC};
    must(connect(fd, &nothing, sizeof nothing) == 0, "AF_UNSPEC");
    dial_with(fd);
    ask(fd, argv[1], 2);
    told_same(2, getpid(), me);
    answered(fd);
    return 0;
  }
  return end_of(child);
}
