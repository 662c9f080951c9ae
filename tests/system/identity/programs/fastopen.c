/* fastopen CASE fork | exec: connect(2) sends no SYN, the child's first write does. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int const fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) == 0, "TCP_FASTOPEN_CONNECT");
  dial_with(fd);
  pid_t const me = getpid();
  pid_t const child = fork_with_me();
  if (child == 0) {
    if (strcmp(argv[2], "exec") == 0) become("asker", argv[1], 1, "beside", fd, me);
    ask(fd, argv[1], 1);
    told_same(1, getpid(), me);
    answered(fd);
    return 0;
  }
  return end_of(child);
}
