// The tests' own main, because spawn_prober() runs /proc/self/exe with the argument `prober`.
#include <gtest/gtest.h>

#include <string_view>

#include "attribute/prober.hpp"

int main(int argc, char **argv) {
  if (argc == 2 && std::string_view(argv[1]) == "prober") return imdsgate::run_prober(3);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
