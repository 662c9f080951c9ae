/* forks NUMBER: that many processes that end at once. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  for (int volatile left = atoi(argv[1]); left > 0; left--) {
    pid_t const pid = vfork();
    if (pid == 0) _exit(0);
    must(pid > 0, "vfork");
    waitpid(pid, NULL, 0);
  }
  return 0;
}
