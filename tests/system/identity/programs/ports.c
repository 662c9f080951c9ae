/* ports CASE: two processes, one source port, two guarded addresses: the redirect has to translate one of them. */
#include "client.h"

static int dial_from(unsigned short port, char const *address) {
  int const fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)}, to = service(address);
  must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0, "setsockopt");
  must(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
  must(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int ready[2], done[2];
  must(pipe(ready) == 0 && pipe(done) == 0, "pipe");
  pid_t const other = fork_with_me();
  if (other == 0) {
    close(done[1]);
    int const fd = dial_from(45555, "169.254.170.2");
    send_byte(ready[1]);
    wait_byte(done[0]);
    ask(fd, argv[1], 2);
    told(2, getpid());
    answered(fd);
    return 0;
  }
  wait_byte(ready[0]);
  int const fd = dial_from(45555, SERVICE);
  ask(fd, argv[1], 1);
  told(1, getpid());
  answered(fd);
  send_byte(done[1]);
  return end_of(other);
}
