/* reuse CASE: connects, sends and ends; another program gets its number within the same tick of the clock. Runs as root:
 * clone3(2) lets it choose numbers. Both run as uid 1001. */
#include "client.h"
#include <linux/sched.h>

static pid_t fork_as(pid_t number) {
  pid_t wanted[1] = {number};
  struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = number ? (unsigned long)wanted : 0, .set_tid_size = number ? 1 : 0};
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static unsigned long long start_of(pid_t pid) {
  char path[64], text[1024] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int const file = open(path, O_RDONLY);
  ssize_t const got = read(file, text, sizeof text - 1);
  close(file);
  char *at = got > 0 ? strrchr(text, ')') : NULL;
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  return at ? strtoull(at, NULL, 10) : 0;
}

static void become_user(void) { must(setresgid(1001, 1001, 1001) == 0 && setresuid(1001, 1001, 1001) == 0, "setresuid"); }

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  char const *const other = beside_me("waiter");
  for (int attempt = 0; attempt < 200; attempt++) {
    int const fd = socket(AF_INET, SOCK_STREAM, 0);
    pid_t const first = fork_as(0);
    if (first == 0) {
      become_user();
      dial_with(fd);
      ask(fd, argv[1], attempt + 1);
      close(fd);
      _exit(0);
    }
    must(first > 0, "clone3");
    close(fd);
    siginfo_t ended;
    must(waitid(P_PID, (id_t)first, &ended, WEXITED | WNOWAIT) == 0, "waitid");
    unsigned long long const start = start_of(first);
    must(end_of(first) == 0, "first");
    pid_t const second = fork_as(first);
    if (second == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      become_user();
      execl(other, "waiter", (char *)NULL);
      _exit(1);
    }
    if (second == first && start != 0 && start_of(second) == start) {
      while (strcmp(name_of(second), "waiter") != 0) sched_yield();
      char line[128];
      snprintf(line, sizeof line, "%d %d reuse\n", attempt + 1, (int)first);
      say(line);
      go();
      wait_byte(0); /* until the runner has seen the event */
      kill(second, SIGKILL);
      return 0;
    }
    if (second > 0) {
      kill(second, SIGKILL);
      end_of(second);
    }
  }
  return SKIP;
}
