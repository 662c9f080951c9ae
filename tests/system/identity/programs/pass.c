/* pass CASE keep | give | take | late | far CGROUP: another program gets the descriptor and asks; who connected keeps it or
 * not. late: it becomes that program when the connection is there. */
#include "client.h"

#define TAKEN 61

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  char const *const how = argv[2];
  int channel[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0, "socketpair");
  pid_t const me = getpid();
  int const take = strcmp(how, "take") == 0, give = strcmp(how, "give") == 0;
  int const late = strcmp(how, "late") == 0, far = strcmp(how, "far") == 0;
  int dialled[2], here[2];
  must(pipe(dialled) == 0 && pipe(here) == 0, "pipe");
  pid_t const other = fork_with_me();
  if (other == 0) {
    must(dup2(here[1], HERE) == HERE, "dup2");
    if (far) enter_cgroup(argv[3]);
    if (take) {
      must(dup2(channel[1], 8) == 8, "dup2");
      become("stranger", argv[1], 1, "take", me, TAKEN);
    }
    if (late) wait_byte(dialled[0]);
    become(give || far ? "stranger" : "asker", argv[1], 1, "receive", channel[1], give ? 0 : me);
  }
  if (!late) wait_byte(here[0]); /* before anybody connects */
  int const fd = dial();
  send_byte(dialled[1]);
  if (take) {
    must(dup2(fd, TAKEN) == TAKEN, "dup2");
    close(fd);
    send_byte(channel[0]);
  } else {
    send_descriptor(channel[0], fd);
    if (give) close(fd);
  }
  return end_of(other);
}
