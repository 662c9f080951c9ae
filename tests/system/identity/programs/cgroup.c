/* cgroup CASE DIRECTORY before | after: moves to that cgroup before it connects, or between that and the request. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int const before = strcmp(argv[3], "before") == 0;
  if (before) enter_cgroup(argv[2]);
  int const fd = dial();
  if (!before) enter_cgroup(argv[2]);
  ask(fd, argv[1], 1);
  told(1, getpid());
  answered(fd);
  return 0;
}
