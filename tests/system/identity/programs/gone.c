/* gone CASE close | exit | reset: connects, sends and is no more when the gateway accepts. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int const fd = dial();
  ask(fd, argv[1], 1);
  told(1, getpid());
  if (strcmp(argv[2], "reset") == 0) {
    struct linger const reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  if (strcmp(argv[2], "exit") != 0) close(fd);
  return 0;
}
