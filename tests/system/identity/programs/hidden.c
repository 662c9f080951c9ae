/* hidden CASE: asks from a pid and mount namespace of its own, whose /proc shows nobody (hidepid). */
#include "client.h"
#include <sys/mount.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  must(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) == 0, "unshare");
  int ready[2];
  must(pipe(ready) == 0, "pipe");
  pid_t const child = fork_with_me();
  if (child == 0) {
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount");
    must(mount("proc", "/proc", "proc", 0, "hidepid=2") == 0, "hidepid");
    int const fd = dial();
    ask(fd, argv[1], 1);
    answered(fd);
    return 0;
  }
  told(1, child); /* its number out here */
  return end_of(child);
}
