/* bindmount CASE: in a user namespace of its own, a program is mounted over another's path and run from there. */
#include "client.h"
#include <sys/mount.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  char const *const client = beside_me("client");
  must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount");
  must(mount(client, "/usr/bin/id", NULL, MS_BIND, NULL) == 0, "bind");
  must(setenv("IDENTITY_PROGRAM", "client", 1) == 0, "setenv");
  execl("/usr/bin/id", "id", argv[1], (char *)NULL);
  must(0, "exec");
}
