// How the messages of codec.hpp and codec_exec.hpp are written and read: included by codec*.cpp alone.
#pragma once

#include <cstring>
#include <type_traits>

#include "attribute/codec.hpp"
#include "attribute/proc_parse.hpp"

namespace imdsgate {

// One traversal names the fields of each type for both directions: a CodecWriter reads the values, a
// CodecReader sets them.
class CodecWriter {
 public:
  static constexpr bool kReads = false;
  CodecWriter() { bytes_.reserve(4096); }
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T const &value) { append(&value, sizeof value); }
  void operator()(bool const &value) { (*this)(static_cast<std::uint8_t>(value)); }
  void operator()(std::string const &text) {
    (*this)(static_cast<std::uint32_t>(text.size()));
    append(text.data(), text.size());
  }
  std::uint32_t count(std::size_t size, std::size_t) {
    auto const count = static_cast<std::uint32_t>(size);
    (*this)(count);
    return count;
  }
  Bytes take() { return std::move(bytes_); }

 private:
  void append(void const *from, std::size_t size) {
    if (size == 0) return;
    auto const at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, from, size);
  }
  Bytes bytes_;
};

class CodecReader {
 public:
  static constexpr bool kReads = true;
  explicit CodecReader(std::span<std::uint8_t const> bytes) : bytes_(bytes) {}
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T &value) {
    if (!need(sizeof value)) return;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
  }
  void operator()(bool &value) {
    std::uint8_t byte = 0;
    (*this)(byte);
    if (byte > 1) good_ = false;
    value = byte == 1;
  }
  void operator()(std::string &text) {
    std::uint32_t size = 0;
    (*this)(size);
    if (!need(size)) return;
    text.assign(reinterpret_cast<char const *>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
  }
  std::uint32_t count(std::size_t, std::size_t limit) {
    std::uint32_t count = 0;
    (*this)(count);
    // Each element takes a byte at least, so a count cannot make us allocate more than the message's size.
    if (count > limit || count > bytes_.size()) good_ = false;
    return good_ ? count : 0;
  }
  void fail() { good_ = false; }
  bool good() const { return good_; }
  bool done() const { return good_ && bytes_.empty(); }

 private:
  bool need(std::size_t size) {
    good_ = good_ && size <= bytes_.size();
    return good_;
  }
  std::span<std::uint8_t const> bytes_;
  bool good_ = true;
};

// The traversal's parameter: T const & when writing, T & when reading.
template <class Archive, class T>
using Ref = std::conditional_t<Archive::kReads, T &, T const &>;

template <class Archive, class List, class Each>
void list(Archive &archive, List &items, std::size_t limit, Each each) {
  auto const count = archive.count(items.size(), limit);
  if constexpr (Archive::kReads) items.resize(count);
  for (std::size_t i = 0; i < count; ++i) each(items[i]);
}

template <class Archive, class Optional, class Each>
void optional(Archive &archive, Optional &item, Each each) {
  bool there = item.has_value();
  archive(there);
  if (!there) return;
  if constexpr (Archive::kReads) item.emplace();
  each(*item);
}

template <class Archive, class Value, class Enum>
void enumerator(Archive &archive, Value &value, Enum last) {
  archive(value);
  if constexpr (Archive::kReads) {
    using Number = std::underlying_type_t<Enum>;
    auto const number = static_cast<Number>(value);
    if (number < 0 || number > static_cast<Number>(last)) {
      archive.fail();
      value = last;
    }
  }
}

template <class Archive>
void fields(Archive &a, Ref<Archive, Address> address) {
  auto bytes = address.bytes();
  for (auto &byte : bytes) a(byte);
  if constexpr (Archive::kReads) address = Address::from_v6(bytes);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Endpoint> endpoint) {
  fields(a, endpoint.address);
  a(endpoint.port);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ProcessId> id) {
  a(id.tgid);
  a(id.start_ticks);
  a(id.exec.executable.device);
  a(id.exec.executable.inode);
  a(id.exec.comm);
  a(id.exec.stack_start);
  a(id.exec.arg_start);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, UserIds> ids) {
  a(ids.real_uid);
  a(ids.effective_uid);
  a(ids.saved_uid);
  a(ids.real_gid);
  a(ids.effective_gid);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, ProcessSnapshot> process) {
  fields(a, process.id);
  fields(a, static_cast<Ref<Archive, UserIds>>(process));
  a(process.tracer);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Holders> holders) {
  list(a, holders.suspects, kMaxSuspects, [&](auto &suspect) {
    fields(a, suspect.holder);
    optional(a, suspect.parent, [&](auto &parent) { fields(a, parent); });
  });
  list(a, holders.pids, kMaxHolders, [&](auto &pid) { a(pid); });
}
template <class Archive>
void fields(Archive &a, Ref<Archive, SocketId> socket) {
  a(socket.inode);
  a(socket.cookie);
  a(socket.uid);
  a(socket.cgroup);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Executable> executable) {
  a(executable.path);
  a(executable.deleted);
  optional(a, executable.unproven, [&](auto &why) { enumerator(a, why, Unproven::unreadable); });
  a(executable.proven_in_namespace);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Process> process) {
  fields(a, process.id);
  a(process.entity_id);
  a(process.parent_pid);
  optional(a, process.executable, [&](auto &executable) { fields(a, executable); });
  a(process.executed_as);
  a(process.comm);
  list(a, process.args, kMaxArguments, [&](auto &arg) { a(arg); });
  a(process.args_truncated);
  auto const text = [&](auto &value) { a(value); };
  optional(a, process.working_directory, text);
  fields(a, static_cast<Ref<Archive, UserIds>>(process));
  optional(a, process.user_name, text);
  optional(a, process.group_name, text);
  std::int64_t start = process.start.time_since_epoch().count();
  a(start);
  if constexpr (Archive::kReads) {
    process.start = std::chrono::system_clock::time_point(std::chrono::system_clock::duration(start));
  }
  a(process.cgroup);
  optional(a, process.container_id, text);
  a(process.container_proven);
  optional(a, process.unit, text);
  a(process.unit_proven);
  a(process.tracer_pid);
}

// Found by the types of its alternatives, so that each codec adds the fields of its own.
template <class Archive, class... Ts>
void alternatives(Archive &a, Ref<Archive, std::variant<Ts...>> choice) {
  auto index = static_cast<std::uint8_t>(choice.index());
  a(index);
  if constexpr (Archive::kReads) {
    std::uint8_t i = 0;
    bool const known = ((i++ == index ? (choice.template emplace<Ts>(), true) : false) || ...);
    if (!known) return a.fail();
  }
  std::visit([&](auto &value) { fields<Archive>(a, value); }, choice);
}

template <class... Ts>
Bytes encode_message(std::uint32_t sequence, std::variant<Ts...> const &choice) {
  CodecWriter writer;
  writer(sequence);
  alternatives<CodecWriter, Ts...>(writer, choice);
  return writer.take();
}

template <class... Ts>
std::optional<Numbered<std::variant<Ts...>>> decode_message(std::span<std::uint8_t const> bytes) {
  CodecReader reader(bytes);
  Numbered<std::variant<Ts...>> message;
  reader(message.sequence);
  alternatives<CodecReader, Ts...>(reader, message.value);
  if (!reader.done()) return std::nullopt;
  return message;
}

}  // namespace imdsgate
