#include "attribute/codec.hpp"

#include "attribute/codec_fields.hpp"

namespace imdsgate {

template <class Archive>
void fields(Archive &a, Ref<Archive, FindTcp> find) {
  fields(a, find.client);
  fields(a, find.original);
  a(find.milliseconds);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, FindUnix> find) {
  a(find.inode);
  a(find.pid);
  a(find.uid);
  a(find.gid);
  a(find.accepted_ticks);
  a(find.milliseconds);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, FindHolders> find) {
  fields(a, find.socket);
  a(find.milliseconds);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Walk> walk) {
  a(walk.uid);
  a(walk.milliseconds);
  list(a, walk.inodes, kMaxWalkInodes, [&](auto &inode) { a(inode); });
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Describe> describe) {
  a(describe.tgid);
  a(describe.start_ticks);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, DescribeForked> describe) {
  optional(a, describe.parent, [&](auto &parent) { fields(a, parent); });
  fields(a, static_cast<Ref<Archive, UserIds>>(describe));
  a(describe.cgroup);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Refusal> refusal) {
  enumerator(a, refusal.reason, Reason::client_gone);
  a(refusal.detail);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Found> found) {
  fields(a, found.socket);
  fields(a, found.holders);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, WalkNeeded> needed) {
  fields(a, needed.socket);
}
template <class Archive>
void fields(Archive &a, Ref<Archive, Described> described) {
  fields(a, described.lineage.process);
  optional(a, described.lineage.parent, [&](auto &parent) { fields(a, parent); });
  list(a, described.lineage.ancestry, kMaxAncestors, [&](auto &ancestor) {
    a(ancestor.pid);
    auto const text = [&](auto &value) { a(value); };
    optional(a, ancestor.name, text);
    optional(a, ancestor.executable, text);
  });
}

template <class Archive>
void fields(Archive &a, Ref<Archive, Walked> walked) {
  list(a, walked.by_inode, kMaxWalkInodes,
       [&](auto &outcome) { alternatives<Archive, Holders, Refusal>(a, outcome); });
}

ProcessSnapshot snapshot_of(Process const &process) {
  return {process, process.id, process.tracer_pid};
}

Bytes encode(std::uint32_t sequence, Question const &question) {
  return encode_message(sequence, question);
}

Bytes encode(std::uint32_t sequence, Answer const &answer) {
  auto bytes = encode_message(sequence, answer);
  if (bytes.size() <= kMaxMessage) return bytes;
  // Long paths of many ancestors are what can be spared: they are then listed by pid alone.
  if (auto const *described = std::get_if<Described>(&answer)) {
    Described cut = *described;
    for (auto &ancestor : cut.lineage.ancestry) ancestor.executable.reset();
    bytes = encode_message(sequence, Answer{std::move(cut)});
    if (bytes.size() <= kMaxMessage) return bytes;
  }
  return encode_message(sequence, Answer{Refusal{Reason::unreadable, "the answer is too long"}});
}

std::optional<Numbered<Question>> decode_question(std::span<std::uint8_t const> bytes) {
  return decode_message<FindTcp, FindUnix, FindHolders, Walk, Describe, DescribeForked>(bytes);
}

std::optional<Numbered<Answer>> decode_answer(std::span<std::uint8_t const> bytes) {
  return decode_message<Refusal, Found, WalkNeeded, Walked, Described>(bytes);
}

}  // namespace imdsgate
