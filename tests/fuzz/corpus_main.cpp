// Runs a fuzz target over the files of its corpus, without a fuzzer: what ctest does with every compiler.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const *data, std::size_t size);

int main(int argc, char **argv) {
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    for (auto const &entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream stream(entry.path(), std::ios::binary);
      std::string const text((std::istreambuf_iterator<char>(stream)), {});
      std::cout << entry.path().filename().string()
                << std::endl;  // before it runs: the one that ends it is named last
      LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const *>(text.data()), text.size());
      ++files;
    }
  }
  std::cout << files << " files\n";
  return files > 0 ? 0 : 1;
}
