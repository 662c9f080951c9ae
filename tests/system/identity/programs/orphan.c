/* orphan CASE early | late: who connected ends, its child asks. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int gone[2];
  must(pipe(gone) == 0, "pipe");
  int const fd = dial();
  if (strcmp(argv[2], "late") == 0) wait_until_accepted(argv[1]);
  pid_t const child = fork();
  must(child >= 0, "fork");
  if (child != 0) return 0; /* this one connected */
  close(gone[1]);
  char byte = 0;
  must(read(gone[0], &byte, 1) == 0, "read"); /* the parent has ended */
  ask(fd, argv[1], 1);
  told(1, getpid());
  go();
  answered(fd);
  return 0;
}
