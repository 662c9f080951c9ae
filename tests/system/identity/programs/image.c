/* image CASE memory | deleted DIRECTORY: the client runs from a file that is nowhere. */
#include "client.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

static void copy_to(int target) {
  int const source = open(beside_me("client"), O_RDONLY | O_CLOEXEC);
  struct stat status;
  must(source >= 0 && fstat(source, &status) == 0, "client");
  must(sendfile(target, source, NULL, (size_t)status.st_size) == status.st_size, "sendfile");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  char *const arguments[] = {"update", argv[1], NULL};
  char *const environment[] = {NULL};
  if (strcmp(argv[2], "memory") == 0) {
    int const file = memfd_create("update", MFD_CLOEXEC);
    copy_to(file);
    fexecve(file, arguments, environment);
    must(0, "fexecve");
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/update-%d", argv[3], (int)getpid());
  int const file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
  must(file >= 0, path);
  copy_to(file);
  close(file);
  int const again = open(path, O_PATH | O_CLOEXEC);
  unlink(path);
  execveat(again, "", arguments, environment, AT_EMPTY_PATH);
  must(0, "execveat");
}
