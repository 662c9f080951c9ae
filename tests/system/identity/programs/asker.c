/* asker CASE N fd FD | receive CHANNEL | take PID FD | dial -: another program than the one that connected, or one that does. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int const n = atoi(argv[2]), a = atoi(argv[4]), b = argc > 5 ? atoi(argv[5]) : 0;
  int fd = a;
  pid_t other = 0;
  char others_name[256] = "";
  (void)!write(HERE, "g", 1); /* whoever waits for it */
  if (strcmp(argv[3], "dial") == 0) {
    fd = dial();
  } else if (strcmp(argv[3], "receive") == 0) {
    fd = receive_descriptor(a);
    other = b;
  } else if (strcmp(argv[3], "take") == 0) {
    wait_byte(8); /* it is there */
    int const pidfd = (int)syscall(SYS_pidfd_open, a, 0);
    fd = (int)syscall(SYS_pidfd_getfd, pidfd, b, 0);
    must(fd >= 0, "pidfd_getfd");
    other = a;
  } else if (strcmp(argv[3], "beside") == 0) {
    other = b;
  }
  if (other) snprintf(others_name, sizeof others_name, "%s", name_of(other));
  ask(fd, argv[1], n);
  if (other) {
    told_beside(n, getpid(), other, others_name);
  } else {
    told(n, getpid());
  }
  go();
  answered(fd);
  return 0;
}
