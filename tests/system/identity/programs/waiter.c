/* waiter: a program that does nothing. */
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
