// The unfinished matches of one sequence: at most one for each join key and number of events it has, found by
// these, and all of them from the oldest. Memory of what is gone is used again. Not safe for concurrent use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imdsgate::eql {

class PendingTable {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;

  struct Pending {
    std::string key;
    std::uint32_t stage = 0;            // of its last event
    std::int64_t start = 0;             // milliseconds, of its first event
    std::vector<std::uint64_t> events;  // their ids
    bool presented = false;             // one of them is the exec that is being presented

   private:
    friend class PendingTable;
    std::uint64_t hash = 0;
    Index chain = kNone;  // the next one in its bucket; of what is gone: the next that is gone
    Index older = kNone, newer = kNone;
  };

  std::size_t size() const { return size_; }
  Pending &operator[](Index index) { return pool_[index]; }
  Pending const &operator[](Index index) const { return pool_[index]; }

  Index find(std::string_view key, std::uint32_t stage) const;
  Index add(std::string_view key, std::uint32_t stage,
            std::int64_t start);                // none may be there. No events yet
  void move(Index index, std::uint32_t stage);  // none may be there
  void erase(Index index);
  Index oldest() const { return oldest_; }

 private:
  Index take();
  void link_bucket(Index index);
  void unlink_bucket(Index index);
  void link_age(Index index);
  void rehash();

  std::vector<Pending> pool_;
  std::vector<Index> buckets_;  // a power of two
  Index gone_ = kNone;
  Index oldest_ = kNone, newest_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace imdsgate::eql
