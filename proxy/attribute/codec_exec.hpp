// The tracker's records as datagrams, under the terms of codec.hpp: pure, bounded, checked when decoded.
#pragma once

#include "attribute/codec.hpp"
#include "attribute/exec_record.hpp"

namespace imdsgate {

// A datagram holds one record or several, each behind its length: one for each record would cost both ends most of what
// a record costs. A parent that is the one of the exec before it in the datagram is not written again.
class RecordWriter {
 public:
  // Takes at most kMaxMessage bytes: of an exec that would be longer the parent at fork, then the parent, then the
  // process becomes unknown.
  void add(TrackerRecord const &record);
  bool empty() const { return datagram_.empty(); }
  bool full() const { return datagram_.size() >= kFull; }  // to be sent before the next is added
  Bytes take();                                            // and begins the next datagram

  static constexpr std::size_t kFull = 32u << 10;

 private:
  Bytes datagram_;
  ImagePtr last_parent_;
};

constexpr std::size_t kMaxDatagram = RecordWriter::kFull + kMaxMessage + sizeof(std::uint32_t);

class RecordReader {
 public:
  explicit RecordReader(std::span<std::uint8_t const> datagram) : rest_(datagram) {}
  bool done() const { return rest_.empty(); }
  // nullopt: not a well-formed record, and nothing behind it is read.
  std::optional<TrackerRecord> next();

 private:
  std::span<std::uint8_t const> rest_;
  ImagePtr last_parent_;
};

}  // namespace imdsgate
