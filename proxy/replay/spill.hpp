// Files without a name, for what has to be read twice or may yet be thrown away. They are gone when they are
// closed, however that comes about.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace imdsgate {

struct CloseFile {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// In $TMPDIR, else /tmp; close-on-exec.
Result<File> unnamed_file();

// A file that can be read at any place: the one of this name when it is a regular file; of "-", which is
// standard input, and of anything else all that there is to read, in an unnamed file.
Result<File> open_seekable(std::string const &name);

// Text that is written out at the end, or discarded: in memory up to kInMemory bytes, beyond that in an
// unnamed file. The first error is kept and ends all writing; write_to() answers it.
class Spool {
 public:
  static constexpr std::size_t kInMemory = 1 << 20;

  void append(std::string_view text);
  void discard();
  Result<void> write_to(int descriptor);

 private:
  void move_to_file();

  std::string memory_;
  File file_;
  Result<void> state_;
};

}  // namespace imdsgate
