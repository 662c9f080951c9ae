// Recorded events in time order (interfaces §1): by their milliseconds, ties by line.
//
// A file that is in order is read once, in constant memory. The first event that is earlier than one before
// it ends that: the listener is told to start over, the file is read again for the time of each event (24
// bytes each are kept), and then its lines in order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "replay/event_reader.hpp"
#include "replay/line_reader.hpp"
#include "rules/engine.hpp"

namespace imdsgate {

struct RecordedEvent {
  eql::Row const &fields;
  std::int64_t milliseconds;
  std::uint64_t line;     // from 0
  std::string_view text;  // valid during the call
};

// Whom it is told to.
struct PlaybackListener {
  std::function<void(RecordedEvent const &event)> event;
  std::function<void(std::uint64_t line, std::string_view why)>
      malformed;                     // once for each such line, in their order
  std::function<void()> start_over;  // at most once: forget all events
};

class Playback {
 public:
  Playback(LineReader &lines, eql::FieldTable const &fields) : lines_(lines), reader_(fields), row_(fields) {}

  // An error: the file could not be read to its end.
  Result<void> run(PlaybackListener const &listener);

 private:
  struct Entry {
    std::int64_t milliseconds;
    std::uint64_t line;
    std::uint64_t offset;
  };

  Result<bool> stream(PlaybackListener const &listener);  // false: not in order
  Result<std::vector<Entry>> index(PlaybackListener const &listener);
  Result<void> play(std::vector<Entry> const &entries, PlaybackListener const &listener);
  Result<std::optional<LineReader::Line>> next_line();  // without the mark that a file may begin with
  Result<std::int64_t> read(LineReader::Line const &line);
  void report(std::uint64_t line, Error const &error, PlaybackListener const &listener);

  LineReader &lines_;
  EventReader reader_;
  eql::Row row_;
  std::uint64_t reported_ = 0;  // the malformed lines before this one have been told
};

}  // namespace imdsgate
