#include "attribute/codec_exec.hpp"

#include <cstring>
#include <utility>

#include "attribute/codec_fields.hpp"

namespace imdsgate {

namespace {

// What a parent is, in one byte.
enum class ParentForm : std::uint8_t { none, given, as_before };

class ExecWriter : public CodecWriter {
 public:
  explicit ExecWriter(ImagePtr last_parent) : last_parent(std::move(last_parent)) {}
  ImagePtr last_parent;
};
class ExecReader : public CodecReader {
 public:
  ExecReader(std::span<std::uint8_t const> bytes, ImagePtr last_parent)
      : CodecReader(bytes), last_parent(std::move(last_parent)) {}
  ImagePtr last_parent;
};

}  // namespace

template <class Archive>
void image(Archive &a, ImagePtr const &image) {
  fields<Archive>(a, *image);
}
template <class Archive>
void image(Archive &a, ImagePtr &image) {
  Process process;
  fields<Archive>(a, process);
  image = std::make_shared<Process const>(std::move(process));
}
template <class Archive>
void optional_image(Archive &a, Ref<Archive, ImagePtr> pointer) {
  bool there = pointer != nullptr;
  a(there);
  if (there) image<Archive>(a, pointer);
}
template <class Archive>
void parent_image(Archive &a, Ref<Archive, ImagePtr> parent) {
  auto form = !parent ? ParentForm::none : parent == a.last_parent ? ParentForm::as_before : ParentForm::given;
  enumerator(a, form, ParentForm::as_before);
  if (form == ParentForm::none) return;
  if (form == ParentForm::given) image<Archive>(a, parent);
  if constexpr (Archive::kReads) {
    if (form == ParentForm::as_before) parent = a.last_parent;
    if (!parent) return a.fail();
  }
  a.last_parent = parent;
}
template <class Archive>
void fields(Archive &a, Ref<Archive, MonotonicTime> time) {
  std::int64_t count = time.time_since_epoch().count();
  a(count);
  if constexpr (Archive::kReads) time = MonotonicTime(MonotonicTime::duration(count));
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ExecRecord> exec) {
  fields<Archive>(a, exec.time);
  a(exec.tgid);
  a(exec.exec_seq);
  optional(a, exec.start_ticks, [&](auto &ticks) { a(ticks); });
  optional_image<Archive>(a, exec.process);
  a(exec.unknown);
  a(exec.parent_tgid);
  parent_image<Archive>(a, exec.parent);
  optional_image<Archive>(a, exec.parent_at_fork);
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

Bytes encode(TrackerRecord const &record, ImagePtr &last_parent) {
  ExecWriter writer(last_parent);
  alternatives<ExecWriter, ExecRecord, ExitRecord, LostRecord, ReadyRecord, BarrierRecord>(writer, record);
  auto bytes = writer.take();
  if (bytes.size() <= kMaxMessage) last_parent = std::move(writer.last_parent);
  return bytes;
}

Bytes encode_bounded(TrackerRecord const &record, ImagePtr &last_parent) {
  auto bytes = encode(record, last_parent);
  if (bytes.size() <= kMaxMessage) return bytes;
  auto cut = std::get<ExecRecord>(record);  // no other holds a text
  for (auto *spared : {&cut.parent_at_fork, &cut.parent, &cut.process}) {
    spared->reset();
    if (!cut.process) cut.unknown = "the record is too long";
    bytes = encode(cut, last_parent);
    if (bytes.size() <= kMaxMessage) break;
  }
  return bytes;
}

}  // namespace

void RecordWriter::add(TrackerRecord const &record) {
  auto const bytes = encode_bounded(record, last_parent_);
  auto const size = static_cast<std::uint32_t>(bytes.size());
  auto const *size_bytes = reinterpret_cast<std::uint8_t const *>(&size);
  datagram_.insert(datagram_.end(), size_bytes, size_bytes + sizeof size);
  datagram_.insert(datagram_.end(), bytes.begin(), bytes.end());
}

Bytes RecordWriter::take() {
  last_parent_.reset();
  return std::exchange(datagram_, {});
}

std::optional<TrackerRecord> RecordReader::next() {
  std::uint32_t size = 0;
  auto const datagram = std::exchange(rest_, {});
  if (datagram.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, datagram.data(), sizeof size);
  if (datagram.size() - sizeof size < size) return std::nullopt;
  ExecReader reader(datagram.subspan(sizeof size, size), last_parent_);
  TrackerRecord record;
  alternatives<ExecReader, ExecRecord, ExitRecord, LostRecord, ReadyRecord, BarrierRecord>(reader, record);
  if (!reader.done()) return std::nullopt;
  if (auto const *exec = std::get_if<ExecRecord>(&record)) {
    // A process is told of under its own number, or the gateway would file it under another's.
    bool const own = !exec->process || (exec->process->id.tgid == exec->tgid &&
                                        exec->process->id.start_ticks == exec->start_ticks);
    if (!own) return std::nullopt;
  }
  last_parent_ = std::move(reader.last_parent);
  rest_ = datagram.subspan(sizeof size + size);
  return record;
}

}  // namespace imdsgate
