// One place that lines go to, written by a thread of its own. post() is for one thread (the loop) and never
// blocks on the place: at most kQueue lines wait, and when they do the oldest is dropped and counted. A line
// is handed to the kernel as soon as its turn comes, with the lines that wait behind it: nothing is kept back.
//
// A write that fails later (ENOSPC, a syslog daemon that is gone) costs what was to be written, which is counted and said
// on stderr at most once a minute; the next line is tried anew. A file never keeps a torn line: what was written
// of a failed write is cut off.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace imdsgate {

// gateway/settings.hpp's SinkSettings, as this stage takes them.
struct SinkOptions {
  enum class Type { file, journald, syslog, standard_output } type = Type::standard_output;
  std::string
      path;  // file: a regular file in a directory that is there and may be written to (rotation renames)
  std::uint64_t max_size = 64u << 20;     // file, bytes
  unsigned keep = 4;                      // file: rotated files kept, events.1.ndjson the youngest
  std::string address = "unix:/dev/log";  // syslog: the only one that is supported
  bool alerts_only = false;
};

class AsyncSink {
 public:
  static constexpr std::size_t kQueue = 8192;

  // An error when the place cannot be written to now: a file that cannot be opened, no journal, no syslog
  // socket.
  static Result<std::unique_ptr<AsyncSink>> open(SinkOptions const &options);
  ~AsyncSink();  // closes with a short deadline

  void post(std::string_view line, bool alert) noexcept;

  // Waits until every line posted so far has been written or dropped; false when the deadline passed first.
  bool flush(std::chrono::milliseconds deadline);

  // flush(), then the thread ends. When the place still blocks at the deadline the thread is left to the exit
  // of the process and its lines count as dropped. Nothing may be posted afterwards.
  bool close(std::chrono::milliseconds deadline);

  std::uint64_t dropped() const;                     // overrun, failed or left at close
  std::string const &name() const { return name_; }  // "file:/var/log/…", "journald", "syslog", "stdout"
  bool alerts_only() const { return alerts_only_; }

 private:
  struct Worker;
  AsyncSink(std::string name, bool alerts_only, std::unique_ptr<Worker> worker);

  std::string name_;
  bool alerts_only_;
  std::atomic<std::uint64_t> posted_ = 0;  // flush() and dropped() may be another thread's than post()
  std::atomic<std::uint64_t> left_ = 0;
  std::unique_ptr<Worker> worker_;
};

}  // namespace imdsgate
