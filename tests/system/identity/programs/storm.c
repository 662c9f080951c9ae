/* storm CASE FROM TO: a child for each number, at most 32 at once, that connects, sends, says who it is and exits: as a copy
 * of this program, every fourth after an exec. */
#include "client.h"

#define AT_ONCE 32

static void one(char const *name, int n) {
  int const fd = dial();
  ask(fd, name, n);
  told(n, getpid());
  _exit(0); /* without waiting for an answer */
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  if (strcmp(argv[3], "once") == 0) one(argv[1], atoi(argv[2]));
  int running = 0, failed = 0, status = 0;
  char const *const again = strdup(beside_me("shot"));
  for (int n = atoi(argv[2]); n < atoi(argv[3]); n++) {
    pid_t const pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
      char number[16];
      snprintf(number, sizeof number, "%d", n);
      if (n % 4 == 0) execl(again, "shot", argv[1], number, "once", (char *)NULL);
      one(argv[1], n);
    }
    for (running++; running >= AT_ONCE; running--) failed += wait(&status) < 0 || status != 0;
  }
  for (; running > 0; running--) failed += wait(&status) < 0 || status != 0;
  return failed != 0;
}
