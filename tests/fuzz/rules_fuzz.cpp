// Rule files of every form: the first byte chooses it. Holds: no crash, and each problem is in the file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rules/load_rules.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const *data, std::size_t size) {
  static constexpr char const *kNames[] = {"r.yaml", "r.toml", "r.ndjson", "r"};
  if (size == 0) return 0;
  std::string const text(reinterpret_cast<char const *>(data) + 1, size - 1);
  auto const loaded = imdsgate::load_rules(text, kNames[data[0] % 4]);
  auto const lines = std::ranges::count(text, '\n') + 1;
  for (auto const &problem : loaded.problems) {
    if (problem.text.empty() || problem.line < 0 || problem.line > lines || problem.column < 0) std::abort();
  }
  if (loaded.rules.empty() && loaded.ok()) std::abort();
  return 0;
}
