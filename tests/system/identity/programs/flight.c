/* flight CASE PROGRAM | -: one copy of the descriptor stays in flight in a UNIX socket.
 * PROGRAM: a child asks with it and puts it back in flight, while who connected becomes PROGRAM, with a copy of its own.
 * -: who connected asks, then has none but that in flight. */
#include "client.h"

/* Of anybody, whoever may look at him. */
static int is_called(pid_t pid, char const *name) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
  int const file = open(path, O_RDONLY);
  ssize_t const got = read(file, text, sizeof text - 1);
  close(file);
  return got > 1 && (size_t)got == strlen(name) + 1 && strncmp(text, name, (size_t)got - 1) == 0;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int channel[2], asked[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0 && pipe(asked) == 0, "socketpair");
  if (strcmp(argv[2], "-") == 0) {
    int const fd = dial();
    ask(fd, argv[1], 1);
    send_descriptor(channel[0], fd);
    close(fd);
    told(1, getpid());
    go();
    wait_byte(0); /* until the runner has seen the event */
    return 0;
  }
  pid_t const me = getpid();
  char const *const other_name = strrchr(argv[2], '/') + 1;
  pid_t const child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int const fd = receive_descriptor(channel[1]);
    while (!is_called(me, other_name)) sched_yield(); /* until it is the other program */
    ask(fd, argv[1], 1);
    told(1, getpid());
    send_descriptor(channel[0], fd);
    close(fd);
    go();
    pause();
  }
  int const fd = dial();
  send_descriptor(channel[0], fd);
  execl(argv[2], argv[2], "2", (char *)NULL);
  must(0, argv[2]);
}
