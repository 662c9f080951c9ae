/* traced CASE: a child asks under a debugger. */
#include "client.h"
#include <sys/ptrace.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  pid_t const child = fork_with_me();
  if (child == 0) {
    must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "ptrace");
    int const fd = dial();
    ask(fd, argv[1], 1);
    told(1, getpid());
    answered(fd);
    return 0;
  }
  return end_of(child);
}
