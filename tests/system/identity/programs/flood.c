/* flood CONNECTIONS: that many connections, which it keeps without a word; says "ready". */
#include "client.h"
#include <sys/resource.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int const connections = atoi(argv[1]);
  struct rlimit const limit = {(rlim_t)connections + 64, (rlim_t)connections + 64};
  must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
  for (int i = 0; i < connections; i++) dial();
  say("ready\n");
  for (;;) pause();
}
