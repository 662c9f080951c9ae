#include "rules/pending_table.hpp"

#include <algorithm>
#include <functional>

namespace imdsgate::eql {
namespace {

std::uint64_t hash_of(std::string_view key, std::uint32_t stage) {
  return std::hash<std::string_view>{}(key) + stage * 0x9E3779B97F4A7C15u;
}

}  // namespace

PendingTable::Index PendingTable::find(std::string_view key, std::uint32_t stage) const {
  if (buckets_.empty()) return kNone;
  std::uint64_t const hash = hash_of(key, stage);
  Index index = buckets_[hash & (buckets_.size() - 1)];
  while (index != kNone) {
    Pending const &one = pool_[index];
    if (one.hash == hash && one.stage == stage && one.key == key) break;
    index = one.chain;
  }
  return index;
}

PendingTable::Index PendingTable::take() {
  if (gone_ != kNone) {
    Index const index = gone_;
    gone_ = pool_[index].chain;
    return index;
  }
  pool_.emplace_back();
  if (buckets_.size() < pool_.size()) rehash();
  return static_cast<Index>(pool_.size() - 1);
}

PendingTable::Index PendingTable::add(std::string_view key, std::uint32_t stage, std::int64_t start) {
  Index const index = take();
  Pending &one = pool_[index];
  one.key = key;
  one.stage = stage;
  one.start = start;
  one.events.clear();
  one.presented = false;
  link_bucket(index);
  link_age(index);
  ++size_;
  return index;
}

void PendingTable::move(Index index, std::uint32_t stage) {
  unlink_bucket(index);
  pool_[index].stage = stage;
  link_bucket(index);
}

void PendingTable::erase(Index index) {
  unlink_bucket(index);
  Pending &one = pool_[index];
  (one.older == kNone ? oldest_ : pool_[one.older].newer) = one.newer;
  (one.newer == kNone ? newest_ : pool_[one.newer].older) = one.older;
  one.chain = gone_;
  gone_ = index;
  --size_;
}

void PendingTable::link_bucket(Index index) {
  Pending &one = pool_[index];
  one.hash = hash_of(one.key, one.stage);
  Index &bucket = buckets_[one.hash & (buckets_.size() - 1)];
  one.chain = bucket;
  bucket = index;
}

void PendingTable::unlink_bucket(Index index) {
  Pending const &one = pool_[index];
  Index *place = &buckets_[one.hash & (buckets_.size() - 1)];
  while (*place != index) place = &pool_[*place].chain;
  *place = one.chain;
}

// Starts come in order, so the place is the newest end; only what is put back has to look further.
void PendingTable::link_age(Index index) {
  Pending &one = pool_[index];
  Index before = newest_;
  while (before != kNone && pool_[before].start > one.start) before = pool_[before].older;
  one.older = before;
  one.newer = before == kNone ? oldest_ : pool_[before].newer;
  (one.older == kNone ? oldest_ : pool_[one.older].newer) = index;
  (one.newer == kNone ? newest_ : pool_[one.newer].older) = index;
}

// When the pool has grown, so nothing is gone: all but the new one are in a bucket.
void PendingTable::rehash() {
  buckets_.assign(std::max<std::size_t>(16, 2 * buckets_.size()), kNone);
  for (Index index = 0; index + 1 < pool_.size(); ++index) link_bucket(index);
}

}  // namespace imdsgate::eql
