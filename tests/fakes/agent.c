/* A small metadata client, as a cloud agent would be: agent v4|v6 PATH [--v1] [--wait]
 * fetches a session token by PUT (unless --v1), then PATH with it on the same connection; prints the status and the
 * body; exits 0 on 200. --wait reads one line from stdin between connect and the first request. The address is not an
 * argument, as it is none of a real agent's: a detection rule looks for it in command lines. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 18];

static int dial(char const *address) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  int const is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) return -1;
  int const fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int const failed = is_v4 ? connect(fd, (struct sockaddr *)&v4, sizeof v4) : connect(fd, (struct sockaddr *)&v6, sizeof v6);
  return failed ? -1 : fd;
}

/* Reads one answer with a Content-Length, or to the end; returns its status and points *body at what follows. */
static int read_answer(int fd, char **body) {
  size_t have = 0;
  for (;;) {
    ssize_t const got = read(fd, answer + have, sizeof answer - 1 - have);
    if (got < 0) return -1;
    have += (size_t)got;
    answer[have] = 0;
    char *const end = strstr(answer, "\r\n\r\n");
    if (end) {
      *body = end + 4;
      char const *length = strcasestr(answer, "\r\ncontent-length:");
      size_t const wanted = length && length < end ? strtoul(length + 17, NULL, 10) : (size_t)-1;
      if (have - (size_t)(*body - answer) >= wanted) break;
    }
    if (got == 0) {
      if (!end) return -1;
      break;
    }
  }
  return atoi(answer + 9);
}

static int ask(int fd, char const *request, char **body) {
  size_t const length = strlen(request);
  if (write(fd, request, length) != (ssize_t)length) return -1;
  return read_answer(fd, body);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int v1 = 0, wait = 0;
  for (int at = 3; at < argc; at++) {
    v1 |= strcmp(argv[at], "--v1") == 0;
    wait |= strcmp(argv[at], "--wait") == 0;
  }
  int const v6 = strcmp(argv[1], "v6") == 0;
  char const *const host = v6 ? "[fd00:ec2::254]" : "169.254.169.254";
  int const fd = dial(v6 ? "fd00:ec2::254" : host);
  if (fd < 0) return perror("agent"), 1;
  if (wait && getchar() == EOF) return 1;
  char request[2048], header[512] = "", *body = NULL;
  if (!v1) {
    snprintf(request, sizeof request,
             "PUT /latest/api/token HTTP/1.1\r\nHost: %s\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n\r\n", host);
    int const status = ask(fd, request, &body);
    if (status != 200) return printf("%d\n%s\n", status, status > 0 ? body : ""), 1;
    snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %.400s\r\n", body);
  }
  snprintf(request, sizeof request, "GET %.1024s HTTP/1.1\r\nHost: %s\r\n%sUser-Agent: demo-agent/1.0\r\n\r\n", argv[2], host, header);
  int const status = ask(fd, request, &body);
  printf("%d\n%s\n", status, status > 0 ? body : "");
  return status == 200 ? 0 : 1;
}
