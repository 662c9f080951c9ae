#include "replay/playback.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace imdsgate {

Result<std::optional<LineReader::Line>> Playback::next_line() {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  auto line = lines_.next();
  if (!line || !*line || (*line)->offset != 0) return line;
  if ((*line)->text.starts_with(kByteOrderMark)) (*line)->text.remove_prefix(kByteOrderMark.size());
  return line;
}

Result<std::int64_t> Playback::read(LineReader::Line const &line) {
  if (line.cut) {
    return Error{Errc::malformed, "longer than " + std::to_string(LineReader::kLongest >> 20) + " MiB"};
  }
  return reader_.read(line.text, row_);
}

void Playback::report(std::uint64_t line, Error const &error, PlaybackListener const &listener) {
  if (line < reported_) return;
  reported_ = line + 1;
  listener.malformed(line, error.detail);
}

Result<bool> Playback::stream(PlaybackListener const &listener) {
  std::int64_t latest = std::numeric_limits<std::int64_t>::min();
  for (std::uint64_t number = 0;; ++number) {
    auto const line = next_line();
    if (!line) return line.error();
    if (!*line) return true;
    auto const time = read(**line);
    if (!time) {
      report(number, time.error(), listener);
      continue;
    }
    if (*time < latest) return false;
    latest = *time;
    listener.event({row_, *time, number, (*line)->text});
  }
}

Result<std::vector<Playback::Entry>> Playback::index(PlaybackListener const &listener) {
  std::vector<Entry> entries;
  lines_.seek(0);
  for (std::uint64_t number = 0;; ++number) {
    auto const line = next_line();
    if (!line) return line.error();
    if (!*line) return entries;
    auto const time = read(**line);
    if (time) {
      entries.push_back({*time, number, (*line)->offset});
    } else {
      report(number, time.error(), listener);
    }
  }
}

Result<void> Playback::play(std::vector<Entry> const &entries, PlaybackListener const &listener) {
  for (auto const &entry : entries) {
    lines_.seek(entry.offset);
    auto const line = next_line();
    if (!line) return line.error();
    auto const time = *line ? read(**line) : Error{Errc::malformed, ""};
    if (!time || *time != entry.milliseconds) {
      return Error{Errc::unreadable, "the file changed while it was read"};
    }
    listener.event({row_, *time, entry.line, (*line)->text});
  }
  return {};
}

Result<void> Playback::run(PlaybackListener const &listener) {
  auto const ordered = stream(listener);
  if (!ordered) return ordered.error();
  if (*ordered) return {};
  listener.start_over();
  auto entries = index(listener);
  if (!entries) return entries.error();
  std::ranges::sort(*entries, {},
                    [](Entry const &entry) { return std::tie(entry.milliseconds, entry.line); });
  return play(*entries, listener);
}

}  // namespace imdsgate
