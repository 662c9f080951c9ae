/* port CASE: connects from a port, asks for 1, resets and ends; another program does the same for 2, and stays. */
#include "client.h"

static int dial_from(unsigned short port) {
  int const fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct linger const reset = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  must(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
  dial_with(fd);
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (argc > 2) { /* the second program */
    int const fd = dial_from(45888);
    ask(fd, argv[1], 2);
    told(2, getpid());
    go();
    wait_byte(0); /* until the runner has seen the events */
    return 0;
  }
  pid_t const first = fork_with_me();
  if (first == 0) {
    ask(dial_from(45888), argv[1], 1);
    told(1, getpid());
    _exit(0);
  }
  must(end_of(first) == 0, "first");
  execl(beside_me("second"), "second", argv[1], "second", (char *)NULL);
  must(0, "second");
}
