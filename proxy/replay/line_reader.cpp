#include "replay/line_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace imdsgate {
namespace {

constexpr std::size_t kBuffer = 1 << 20;
// At a place that is sought little is read, and twice as much each time that reading goes on from there: the
// lines of several recordings one behind the other are taken from each in turn.
constexpr std::size_t kAtPlace = 16 << 10;
constexpr std::uint64_t kBefore = 4 << 10;  // of which this much is before it

}  // namespace

LineReader::LineReader(int descriptor) : descriptor_(descriptor), buffer_(kBuffer), read_(kBuffer) {}

void LineReader::seek(std::uint64_t offset) {
  if (offset >= base_ && offset <= base_ + filled_) {
    at_ = static_cast<std::size_t>(offset - base_);
    return;
  }
  base_ = offset - std::min(offset, kBefore);
  filled_ = 0;
  at_ = static_cast<std::size_t>(offset - base_);
  read_ = kAtPlace;
}

// Appends what follows in the file, after moving what is not read yet to the front when there is no room.
Result<bool> LineReader::fill() {
  if (filled_ == buffer_.size() && at_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
    base_ += at_;
    filled_ -= at_;
    at_ = 0;
  }
  if (filled_ == buffer_.size()) buffer_.resize(std::min(buffer_.size() * 2, kLongest + 1));
  auto const size = std::min(read_, buffer_.size() - filled_);
  read_ = std::min(read_ * 2, kBuffer);
  for (;;) {
    auto const count =
        ::pread(descriptor_, buffer_.data() + filled_, size, static_cast<off_t>(base_ + filled_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error{Errc::system, std::generic_category().message(errno)};
    filled_ += static_cast<std::size_t>(count);
    return count > 0;
  }
}

Result<std::optional<LineReader::Line>> LineReader::next() {
  std::size_t searched = 0;  // bytes of the line known to hold no newline
  for (;;) {
    if (filled_ > at_ + searched) {
      char const *const start = buffer_.data() + at_;
      void const *const found = std::memchr(start + searched, '\n', filled_ - at_ - searched);
      if (found != nullptr) {
        auto const length = static_cast<std::size_t>(static_cast<char const *>(found) - start);
        Line const line{{start, length}, base_ + at_, false};
        at_ += length + 1;
        return std::optional(line);
      }
      searched = filled_ - at_;
    }
    if (searched > kLongest) return rest_of_long_line(base_ + at_);
    auto const more = fill();
    if (!more) return more.error();
    if (*more) continue;
    if (filled_ <= at_) return std::optional<Line>();
    Line const line{{buffer_.data() + at_, filled_ - at_}, base_ + at_, false};
    at_ = filled_;
    return std::optional(line);
  }
}

// Only its beginning is kept; the rest is read past.
Result<std::optional<LineReader::Line>> LineReader::rest_of_long_line(std::uint64_t offset) {
  long_line_.assign(buffer_.data() + at_, buffer_.data() + at_ + kLongest);
  for (;;) {
    base_ += filled_;
    at_ = filled_ = 0;
    auto const more = fill();
    if (!more) return more.error();
    void const *const found = std::memchr(buffer_.data(), '\n', filled_);
    if (found != nullptr)
      at_ = static_cast<std::size_t>(static_cast<char const *>(found) - buffer_.data()) + 1;
    if (found != nullptr || !*more) break;
  }
  return std::optional(Line{{long_line_.data(), long_line_.size()}, offset, true});
}

}  // namespace imdsgate
