#include "attribute/codec_exec.hpp"

#include <cstring>

#include "attribute/codec_fields.hpp"

namespace imdsgate {

template <class Archive>
void fields(Archive &a, Ref<Archive, MonotonicTime> time) {
  std::int64_t count = time.time_since_epoch().count();
  a(count);
  if constexpr (Archive::kReads) time = MonotonicTime(MonotonicTime::duration(count));
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ExecRecord> exec) {
  auto const process = [&](auto &value) { fields<Archive>(a, value); };
  fields<Archive>(a, exec.time);
  a(exec.tgid);
  a(exec.exec_seq);
  optional(a, exec.start_ticks, [&](auto &ticks) { a(ticks); });
  optional(a, exec.process, process);
  a(exec.unknown);
  a(exec.parent_tgid);
  optional(a, exec.parent, process);
  optional(a, exec.parent_at_fork, process);
  a(exec.earlier_unseen);
  a(exec.found_later);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ExitRecord> exit) {
  fields<Archive>(a, exit.time);
  a(exit.tgid);
  a(exit.start_ticks);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, LostRecord> lost) {
  fields<Archive>(a, lost.from);
  fields<Archive>(a, lost.to);
  a(lost.events);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ReadyRecord> ready) {
  fields<Archive>(a, ready.time);
  a(ready.processes);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, BarrierRecord> barrier) {
  a(barrier.number);
}

namespace {

Bytes written(TrackerRecord const &record) {
  CodecWriter writer;
  alternatives<CodecWriter, ExecRecord, ExitRecord, LostRecord, ReadyRecord, BarrierRecord>(writer, record);
  return writer.take();
}

}  // namespace

Bytes encode(TrackerRecord const &record) {
  auto bytes = written(record);
  if (bytes.size() <= kMaxMessage) return bytes;
  auto cut = std::get<ExecRecord>(record);  // no other holds a text
  for (auto *spared : {&cut.parent_at_fork, &cut.parent, &cut.process}) {
    spared->reset();
    if (!cut.process) cut.unknown = "the record is too long";
    bytes = written(cut);
    if (bytes.size() <= kMaxMessage) break;
  }
  return bytes;
}

void append_record(Bytes &datagram, std::span<std::uint8_t const> record) {
  auto const size = static_cast<std::uint32_t>(record.size());
  auto const *bytes = reinterpret_cast<std::uint8_t const *>(&size);
  datagram.insert(datagram.end(), bytes, bytes + sizeof size);
  datagram.insert(datagram.end(), record.begin(), record.end());
}

std::optional<std::span<std::uint8_t const>> next_record(std::span<std::uint8_t const> &datagram) {
  std::uint32_t size = 0;
  if (datagram.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, datagram.data(), sizeof size);
  if (datagram.size() - sizeof size < size) return std::nullopt;
  auto const record = datagram.subspan(sizeof size, size);
  datagram = datagram.subspan(sizeof size + size);
  return record;
}

std::optional<TrackerRecord> decode_record(std::span<std::uint8_t const> bytes) {
  CodecReader reader(bytes);
  TrackerRecord record;
  alternatives<CodecReader, ExecRecord, ExitRecord, LostRecord, ReadyRecord, BarrierRecord>(reader, record);
  if (!reader.done()) return std::nullopt;
  if (auto const *exec = std::get_if<ExecRecord>(&record)) {
    // A process is told of under its own number, or the gateway would file it under another's.
    bool const own = !exec->process || (exec->process->id.tgid == exec->tgid &&
                                        exec->process->id.start_ticks == exec->start_ticks);
    if (!own) return std::nullopt;
  }
  return record;
}

}  // namespace imdsgate
