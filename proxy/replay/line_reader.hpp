// The lines of a file that can be read anywhere, by large reads. One user at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

class LineReader {
 public:
  static constexpr std::size_t kLongest = 64
                                          << 20;  // bytes of a line; of a longer one only this much is given

  struct Line {
    std::string_view text;  // without its newline; valid until the next call
    std::uint64_t offset = 0;
    bool cut = false;  // longer than kLongest
  };

  // Reads with pread(): the descriptor's own position stays. The caller keeps the descriptor open.
  explicit LineReader(int descriptor);

  // nullopt: the end. What follows the last newline is a line if it is not empty.
  Result<std::optional<Line>> next();

  // The next line is the one that begins at `offset`. Costs nothing near to where the last read was.
  void seek(std::uint64_t offset);

 private:
  Result<bool> fill();  // false: the end
  Result<std::optional<Line>> rest_of_long_line(std::uint64_t offset);

  int descriptor_;
  std::vector<char> buffer_;
  std::uint64_t base_ = 0;  // where in the file buffer_ begins
  std::size_t filled_ = 0;
  std::size_t read_;    // bytes of the next read
  std::size_t at_ = 0;  // where in buffer_ the next line begins
  std::vector<char> long_line_;
};

}  // namespace imdsgate
