// Of which processes the executable was proven, kept over a restart of the daemon: what was proven at exec stays proven
// when the file is replaced on disk (design §4), and a daemon that is started after an upgrade of the agent's package
// cannot prove it any more. The loop only; reading and writing the file is for others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/process.hpp"
#include "model/result.hpp"

namespace imdsgate {

class ProvenExecutables {
 public:
  static constexpr std::size_t kLimit = 4096;  // beyond, the one that was noted longest ago goes

  // Notes it if it is proven now. If its file was replaced, and it was proven before as exactly this process that has
  // not exec'd since, it is proven still.
  void apply(Process &process);

  // What was noted of it was no proof.
  void withdraw(ProcessId const &id);

  bool take_changed() { return std::exchange(changed_, false); }
  std::vector<pid_t> pids() const;  // rising
  void forget(std::vector<pid_t> const &ended);  // rising

  // For the file. What is no UTF-8 is left out.
  std::string to_json(std::string_view boot_id) const;
  // not_found: it is of another boot, so that none of its processes can be there.
  static Result<ProvenExecutables> parse(std::string_view json, std::string_view boot_id);

 private:
  struct Noted {
    std::string path;
    std::uint64_t order;
  };
  void note(ProcessId const &id, std::string const &path);
  std::map<ProcessId, Noted> noted_;
  std::map<std::uint64_t, ProcessId> by_order_;
  std::uint64_t next_ = 0;
  bool changed_ = false;
};

}  // namespace imdsgate
