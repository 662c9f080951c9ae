/* listener CASE: connects, sends and is gone by a reset; another process listens on the port that it came from. */
#include "client.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int const one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(45777)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  must(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
  int ready[2];
  must(pipe(ready) == 0, "pipe");
  dial_with(fd);
  pid_t const squatter = fork();
  if (squatter == 0) {
    close(fd);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(bind(other, (struct sockaddr *)&from, sizeof from) == 0 && listen(other, 1) == 0, "listen");
    send_byte(ready[1]);
    pause();
  }
  close(other);
  wait_byte(ready[0]);
  pid_t const asker = fork();
  if (asker == 0) {
    struct linger const reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ask(fd, argv[1], 1);
    told(1, getpid());
    return 0;
  }
  struct linger const reset = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
  end_of(asker);
  go();
  wait_byte(0); /* until the runner has seen the event */
  kill(squatter, SIGKILL);
  return 0;
}
