/* exec CASE early | late | between: the process is another program when it asks.
 * early: before the connection is accepted; late: after; between: it asks as both. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int const fd = dial();
  if (strcmp(argv[2], "late") == 0) wait_until_accepted(argv[1]);
  if (strcmp(argv[2], "between") == 0) {
    ask(fd, argv[1], 1);
    told(1, getpid());
    answered(fd);
  }
  become("stranger", argv[1], strcmp(argv[2], "between") == 0 ? 2 : 1, "fd", fd, 0);
}
