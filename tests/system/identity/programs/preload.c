/* A library that asks from within whatever program it is loaded into; CASE is in the environment. */
#include "client.h"

__attribute__((constructor)) static void ask_from_within(void) {
  char const *const name = getenv("IDENTITY_CASE");
  if (!name) return;
  int const fd = dial();
  ask(fd, name, 1);
  told(1, getpid());
  answered(fd);
}
