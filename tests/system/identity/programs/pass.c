/* pass CASE keep | give | take | far CGROUP: another program gets the descriptor and asks; who connected keeps it or not. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  char const *const how = argv[2];
  int channel[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0, "socketpair");
  pid_t const me = getpid();
  int const take = strcmp(how, "take") == 0, give = strcmp(how, "give") == 0;
  pid_t const other = fork_with_me();
  if (other == 0) {
    if (strcmp(how, "far") == 0) enter_cgroup(argv[3]);
    if (take) {
      wait_byte(channel[1]);
      become_asker(argv[1], 1, "take", me, 9);
    }
    become_asker(argv[1], 1, "receive", channel[1], give ? 0 : me);
  }
  int const fd = dial();
  if (take) {
    must(dup2(fd, 9) == 9, "dup2");
    close(fd);
    send_byte(channel[0]);
  } else {
    send_descriptor(channel[0], fd);
    if (give) close(fd);
  }
  return end_of(other);
}
