/* What the cases have in common. Each program is run as `program CASE [HOW…]` and asks for .../identity/CASE/N, so that its
 * events are found again. For each request it prints who it was in truth, "N PID[=PID…] NAME[/GUISE][ PID NAME…]": who sent it
 * (with those who are the same suspect: forks of one program), which program that truly is and, where /proc gives another, which;
 * then who else holds the socket. It prints "go" when the gateway, if the runner has stopped it, may look. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVICE "169.254.169.254"
#define SKIP 77 /* exit status: this kernel cannot run the case */
#define UNUSED __attribute__((unused))

static inline void must(int good, char const *what) {
  if (good) return;
  perror(what);
  _exit(1);
}

UNUSED static void enter_cgroup(char const *cgroup) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  int const file = open(path, O_WRONLY);
  must(file >= 0 && write(file, "0", 1) == 1, path);
}

UNUSED static struct sockaddr_in service(char const *address) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, address, &to.sin_addr);
  return to;
}

UNUSED static void dial_with(int fd) {
  struct sockaddr_in const to = service(SERVICE);
  must(fd >= 0 && connect(fd, (struct sockaddr const *)&to, sizeof to) == 0, "connect");
}

UNUSED static int dial(void) {
  int const fd = socket(AF_INET, SOCK_STREAM, 0);
  dial_with(fd);
  return fd;
}

UNUSED static size_t request_of(char *text, size_t size, char const *name, int n) {
  int const length = snprintf(text, size, "GET /latest/meta-data/identity/%s/%d HTTP/1.1\r\nHost: " SERVICE "\r\n\r\n", name, n);
  return (size_t)length;
}

UNUSED static void ask(int fd, char const *name, int n) {
  char text[512];
  size_t const length = request_of(text, sizeof text, name, n);
  must(write(fd, text, length) == (ssize_t)length, "write");
}

/* Waits for the end of one answer. */
UNUSED static void answered(int fd) {
  static char text[1 << 16];
  size_t have = 0;
  for (;;) {
    ssize_t const got = read(fd, text + have, sizeof text - 1 - have);
    if (got <= 0) return; /* a refusal is an answer as well */
    have += (size_t)got;
    text[have] = 0;
    char const *const end = strstr(text, "\r\n\r\n");
    char const *const length = strcasestr(text, "\r\ncontent-length:");
    if (end && length && length < end && have >= (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10)) return;
  }
}

/* A connection of this process that was accepted means that all before it were. */
UNUSED static void wait_until_accepted(char const *name) {
  int const fd = dial();
  ask(fd, name, 0);
  answered(fd);
  close(fd);
}

/* The executable's name, as /proc gives it. */
UNUSED static char const *name_of(pid_t pid) {
  static char path[4096];
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
  ssize_t const length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return "?";
  path[length] = 0;
  char *const deleted = strstr(path, " (deleted)");
  if (deleted) *deleted = 0;
  return strrchr(path, '/') + 1;
}

/* Which program this truly is, as it was before anything could be done about it; who starts it otherwise than by its name says so. */
static char real_name[256];
__attribute__((constructor(101))) static void remember_name(void) {
  char const *const given = getenv("IDENTITY_PROGRAM");
  snprintf(real_name, sizeof real_name, "%s", given ? given : name_of(getpid()));
}
/* This program, which is PID's as well, and its guise. */
UNUSED static char const *truth_of(pid_t pid) {
  static char text[4400];
  char const *const guise = name_of(pid);
  int const same = strcmp(guise, "?") == 0 || strcmp(guise, real_name) == 0;
  snprintf(text, sizeof text, "%s%s%s", real_name, same ? "" : "/", same ? "" : guise);
  return text;
}

UNUSED static void say(char const *text) { must(write(1, text, strlen(text)) > 0, "stdout"); }
UNUSED static void go(void) { say("go\n"); }

UNUSED static void told(int n, pid_t pid) {
  char line[4600];
  snprintf(line, sizeof line, "%d %d %s\n", n, (int)pid, truth_of(pid));
  say(line);
}
UNUSED static void told_same(int n, pid_t pid, pid_t same) {
  char line[4600];
  snprintf(line, sizeof line, "%d %d=%d %s\n", n, (int)pid, (int)same, truth_of(pid));
  say(line);
}
UNUSED static void told_beside(int n, pid_t pid, pid_t other, char const *others_name) {
  char line[5000];
  snprintf(line, sizeof line, "%d %d %s %d %s\n", n, (int)pid, truth_of(pid), (int)other, others_name);
  say(line);
}

UNUSED static pid_t fork_with_me(void) {
  pid_t const pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return pid;
}

UNUSED static int end_of(pid_t pid) {
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

UNUSED static char *beside_me(char const *program) {
  static char path[4096];
  ssize_t const length = readlink("/proc/self/exe", path, sizeof path - 64);
  must(length > 0, "/proc/self/exe");
  path[length] = 0;
  strcpy(strrchr(path, '/') + 1, program);
  return path;
}

#define HERE 60 /* the descriptor on which an asker says that it is there, if there is one */

/* Becomes another program, "asker" or "stranger" (the same one, without a grant where others have one), which asks for N on a
 * socket that it gets by HOW: fd FD, receive FD, take PID FD. */
UNUSED static void become(char const *program, char const *name, int n, char const *how, int a, int b) {
  char number[16], first[16], second[16];
  snprintf(number, sizeof number, "%d", n);
  snprintf(first, sizeof first, "%d", a);
  snprintf(second, sizeof second, "%d", b);
  execl(beside_me(program), program, name, number, how, first, second, (char *)NULL);
  must(0, program);
}

UNUSED static void send_descriptor(int channel, int fd) {
  char byte = 0;
  struct iovec part = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  must(sendmsg(channel, &message, 0) == 1, "sendmsg");
}

UNUSED static int receive_descriptor(int channel) {
  char byte = 0;
  struct iovec part = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  must(recvmsg(channel, &message, 0) == 1 && CMSG_FIRSTHDR(&message), "recvmsg");
  int fd = -1;
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

UNUSED static void wait_byte(int fd) {
  char byte = 0;
  must(read(fd, &byte, 1) == 1, "read");
}
UNUSED static void send_byte(int fd) { must(write(fd, "g", 1) == 1, "write"); }
