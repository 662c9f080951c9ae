/* hollow CASE alone | copy | shared | early | late | handed DIRECTORY: has the kernel take another program's file for its executable (PR_SET_MM_MAP), without
 * an exec, and asks. In a user namespace of its own anybody may. alone: it goes there; copy: and a child of it asks; early: a
 * child goes there, in the same memory, and it stays outside; shared: as early, and it was seen before; late: as early, but only
 * when it has asked, whereupon its main thread ends; handed: as early, with a
 * file that the kernel has opened for an exec (binfmt_misc gives it to an interpreter), and a child of it asks. */
#include "client.h"
#include <linux/prctl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>

/* Its own pages of the executable's file: those of the memory that is the file's would be in the way. */
static void let_go_of_the_file(void) {
  char path[4096], line[8192];
  ssize_t const length = readlink("/proc/self/exe", path, sizeof path - 1);
  must(length > 0, "/proc/self/exe");
  path[length] = 0;
  for (int found = 1; found;) { /* anew each time: what is read changes by this */
    FILE *const maps = fopen("/proc/self/maps", "re");
    must(maps != NULL, "/proc/self/maps");
    unsigned long from = 0, to = 0;
    char rights[5] = "";
    for (found = 0; !found && fgets(line, sizeof line, maps);) {
      found = sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && strstr(line, path) != NULL;
    }
    fclose(maps);
    if (!found) return;
    size_t const size = to - from;
    void *const copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(copy != MAP_FAILED, "mmap");
    memcpy(copy, (void *)from, size);
    int const protection = (rights[0] == 'r' ? PROT_READ : 0) | (rights[1] == 'w' ? PROT_WRITE : 0) | (rights[2] == 'x' ? PROT_EXEC : 0);
    must(mprotect(copy, size, protection) == 0, "mprotect");
    must(mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from) != MAP_FAILED, "mremap");
  }
}

static unsigned long statistic(char const *text, int field) {
  char const *at = strrchr(text, ')') + 2; /* field 3 */
  for (; field > 3; --field) at = strchr(at, ' ') + 1;
  return strtoul(at, NULL, 10);
}

static void become_in_name(int executable) {
  let_go_of_the_file();
  static char text[4096];
  int const file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  must(read(file, text, sizeof text - 1) > 0, "/proc/self/stat");
  close(file);
  struct prctl_mm_map const map = {
      .start_code = statistic(text, 26), .end_code = statistic(text, 27), .start_data = statistic(text, 45),
      .end_data = statistic(text, 46), .start_brk = statistic(text, 47), .brk = (unsigned long)sbrk(0),
      .start_stack = statistic(text, 28), .arg_start = statistic(text, 48), .arg_end = statistic(text, 49),
      .env_start = statistic(text, 50), .env_end = statistic(text, 51), .exe_fd = (unsigned)executable};
  int const done = prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
  if (done != 0 && errno == EINVAL) _exit(SKIP); /* without CONFIG_CHECKPOINT_RESTORE */
  must(done == 0, "PR_SET_MM_MAP");
}

static void write_to(char const *path, char const *text) {
  int const file = open(path, O_WRONLY | O_CLOEXEC);
  must(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), path);
  close(file);
}

#define CHANNEL 61

/* PROGRAM, as it is opened by the kernel to be executed: its interpreter, which this program is in a user namespace of a
 * child's own, is given it. */
static int opened_for_an_exec(char const *program, char const *directory) {
  int channel[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0, "socketpair");
  char const *const interpreter = beside_me("hollow");
  pid_t const child = fork_with_me();
  if (child == 0) {
    char link[4096], handlers[4096], text[8192], path[4200];
    unsigned const uid = geteuid(), gid = getegid();
    must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
    snprintf(text, sizeof text, "0 %u 1", uid);
    write_to("/proc/self/uid_map", text);
    write_to("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "0 %u 1", gid);
    write_to("/proc/self/gid_map", text);
    snprintf(link, sizeof link, "%s/program.hollow", directory);
    snprintf(handlers, sizeof handlers, "%s/handlers", directory);
    unlink(link);
    must(symlink(program, link) == 0 && (mkdir(handlers, 0700) == 0 || errno == EEXIST), directory);
    if (mount("none", handlers, "binfmt_misc", 0, NULL) != 0) _exit(SKIP); /* before Linux 6.7 */
    snprintf(text, sizeof text, ":hollow:E::hollow::%s:O", interpreter);
    snprintf(path, sizeof path, "%s/register", handlers);
    write_to(path, text);
    must(dup2(channel[1], CHANNEL) == CHANNEL, "dup2");
    execl(link, link, (char *)NULL);
    must(0, link);
  }
  close(channel[1]);
  int const status = end_of(child);
  if (status == SKIP) _exit(SKIP);
  must(status == 0, "the interpreter");
  return receive_descriptor(channel[0]);
}

static int other;

static int in_another_namespace(void *unused) {
  (void)unused;
  become_in_name(other);
  _exit(0);
}

static void from_outside(void) {
  static char stack[1 << 20];
  pid_t const child = clone(in_another_namespace, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL);
  must(child > 0, "clone");
  if (end_of(child) == SKIP) _exit(SKIP);
}

static void *wait_for_the_runner(void *unused) {
  wait_byte(0);
  _exit(0);
  return unused;
}

/* What its main thread's number says has no memory any more; what it runs is another thread's. */
static void ask_and_then(char const *name) {
  pthread_t other_thread;
  must(pthread_create(&other_thread, NULL, wait_for_the_runner, NULL) == 0, "pthread_create");
  int const fd = dial();
  ask(fd, name, 1);
  from_outside();
  close(other);
  must(strcmp(name_of(getpid()), "client") == 0, "its executable is the same as before");
  told(1, getpid());
  go();
  syscall(SYS_exit, 0);
}

int main(int argc, char **argv) {
  int const given = (int)getauxval(AT_EXECFD);
  if (given != 0) { /* an interpreter */
    send_descriptor(CHANNEL, given);
    return 0;
  }
  if (argc < 3) return 2;
  char const *const how = argv[2];
  char const *const program = strdup(beside_me("client"));
  int const handed = strcmp(how, "handed") == 0 && argc > 3;
  other = handed ? opened_for_an_exec(program, argv[3]) : open(program, O_RDONLY | O_CLOEXEC);
  must(other >= 0, program);
  if (strcmp(how, "late") == 0) ask_and_then(argv[1]);
  if (strcmp(how, "shared") == 0) wait_until_accepted(argv[1]);
  if (handed || strcmp(how, "shared") == 0 || strcmp(how, "early") == 0) {
    from_outside();
  } else {
    must(unshare(CLONE_NEWUSER) == 0, "unshare");
    become_in_name(other);
  }
  close(other);
  must(strcmp(name_of(getpid()), "client") == 0, "its executable is the same as before");
  if (handed || strcmp(how, "copy") == 0) {
    pid_t const child = fork_with_me();
    if (child != 0) return end_of(child);
  }
  int const fd = dial();
  ask(fd, argv[1], 1);
  told(1, getpid());
  answered(fd);
  return 0;
}
