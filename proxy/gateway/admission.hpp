// How many connections are open, in all and by user; one place says no. Used on the loop only.
#pragma once

#include <sys/types.h>

#include <optional>
#include <unordered_map>
#include <utility>

namespace imdsgate {

class Admission {
 public:
  struct Caps {
    unsigned connections;
    unsigned per_uid;
  };
  explicit Admission(Caps caps) : caps_(caps) {}
  Admission(Admission const &) = delete;
  Admission &operator=(Admission const &) = delete;

  // A place among the open connections, given back when it goes. Must not outlive the Admission.
  class Ticket {
   public:
    Ticket(Ticket &&other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)), uid_(std::exchange(other.uid_, std::nullopt)) {}
    Ticket &operator=(Ticket &&) = delete;
    ~Ticket();
    // Counts the connection to its user, once; false when the user has too many, and then it is not counted.
    bool claim(uid_t uid);

   private:
    friend class Admission;
    explicit Ticket(Admission *admission) : admission_(admission) {}
    Admission *admission_;
    std::optional<uid_t> uid_;
  };

  std::optional<Ticket> enter();  // nullopt: too many connections
  unsigned open() const { return open_; }
  void set_caps(Caps caps) { caps_ = caps; }  // what is open stays open

 private:
  Caps caps_;
  unsigned open_ = 0;
  std::unordered_map<uid_t, unsigned> by_uid_;  // no zero counts, so never larger than open_
};

}  // namespace imdsgate
