/* client CASE [HOW]: one process that connects and asks, with one thing about it that is unusual. */
#include "client.h"
#include <grp.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int dial6(char const *address) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  inet_pton(AF_INET6, address, &to.sin6_addr);
  int const fd = socket(AF_INET6, SOCK_STREAM, 0);
  must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
  return fd;
}

static void become_user(uid_t uid) { must(setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0, "setresuid"); }

int main(int argc, char **argv) {
  char const *const how = argc > 2 ? argv[2] : "";
  int fd = -1;
  if (strcmp(how, "mapped") == 0) {
    fd = dial6("::ffff:" SERVICE);
  } else if (strcmp(how, "ipv6") == 0) {
    fd = dial6("fd00:ec2::254");
  } else if (strcmp(how, "mptcp") == 0) {
    fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    if (fd < 0) return SKIP;
    dial_with(fd);
  } else if (strcmp(how, "setuid-after-socket") == 0) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    become_user(1001);
    dial_with(fd);
  } else if (strcmp(how, "setuid-after-connect") == 0) {
    fd = dial();
    become_user(1001);
  } else if (strcmp(how, "fchown") == 0) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fchown(fd, 1002, 1002) == 0, "fchown");
    dial_with(fd);
  } else if (strcmp(how, "direct") == 0) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(880)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
  } else {
    if (strcmp(how, "undumpable") == 0) must(prctl(PR_SET_DUMPABLE, 0) == 0, "prctl");
    if (strcmp(how, "comm") == 0) must(prctl(PR_SET_NAME, "a) R 1 (\n\xc3\xa9\xe2\x80\xae") == 0, "prctl");
    fd = dial();
  }
  told(1, getpid());
  if (strcmp(how, "direct") == 0) { /* refused before a request can be sent */
    answered(fd);
    return 0;
  }
  ask(fd, argv[1], 1);
  go();
  answered(fd);
  return 0;
}
