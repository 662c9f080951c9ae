// What the gateway and its prober say to each other: one message a datagram, host byte order (both ends are
// one machine and one binary). Pure and bounded; the gateway checks every decode, because a prober reads what
// attackers wrote, and an answer that does not decode is no answer.
#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "model/address.hpp"
#include "model/flow.hpp"
#include "model/process.hpp"
#include "model/reason.hpp"

namespace imdsgate {

constexpr std::size_t kMaxMessage = 128u << 10;
constexpr std::size_t kMaxSuspects = 16;  // more than this hold the socket: nobody is named
constexpr std::size_t kMaxHolders = 1024;
constexpr std::size_t kMaxWalkInodes = 256;
constexpr std::size_t kMaxAncestors = 64;

using Bytes = std::vector<std::uint8_t>;

// One process at one moment: its identity, and what it may change without exec that a cached description
// holds.
struct ProcessSnapshot : UserIds {
  ProcessId id;
  pid_t tracer = 0;
  auto operator<=>(ProcessSnapshot const &) const = default;
};
ProcessSnapshot snapshot_of(Process const &process);

struct Suspect {
  ProcessSnapshot holder;
  std::optional<ProcessSnapshot> parent;  // nullopt: there is none, or it cannot be read
  auto operator<=>(Suspect const &) const = default;
};

struct Holders {
  std::vector<Suspect> suspects;  // by pid
  std::vector<pid_t> pids;        // every holder, sorted; those who only inherited it by fork too
  auto operator<=>(Holders const &) const = default;
};

// Questions.
struct FindTcp {
  Endpoint client;
  Endpoint original;
  std::uint32_t milliseconds = 0;  // the worker stops looking by itself
  auto operator<=>(FindTcp const &) const = default;
};
struct FindUnix {           // with the peer's pidfd as SCM_RIGHTS, where the kernel gives one
  std::uint64_t inode = 0;  // of the accepted socket
  pid_t pid = 0;            // SO_PEERCRED
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t accepted_ticks = 0;  // since boot, in the unit of ProcessId::start_ticks
  std::uint32_t milliseconds = 0;
  auto operator<=>(FindUnix const &) const = default;
};
struct FindHolders {  // of a socket that is known by other means, of any network namespace
  SocketId socket;
  std::uint32_t milliseconds = 0;
  auto operator<=>(FindHolders const &) const = default;
};
struct Walk {
  uid_t uid = 0;
  std::uint32_t milliseconds = 0;
  std::vector<std::uint64_t> inodes;
  auto operator<=>(Walk const &) const = default;
};
struct Describe {
  pid_t tgid = 0;
  std::uint64_t start_ticks = 0;
  auto operator<=>(Describe const &) const = default;
};
struct DescribeForked : UserIds {  // a process that may have ended, out of its parent, the users it had, and its cgroup's id
  std::optional<Describe> parent;  // without: users and cgroup alone
  std::uint64_t cgroup = 0;
  auto operator<=>(DescribeForked const &) const = default;
};
using Question = std::variant<FindTcp, FindUnix, FindHolders, Walk, Describe, DescribeForked>;

// Answers.
struct Refusal {
  Reason reason = Reason::unreadable;
  std::string detail;
  auto operator<=>(Refusal const &) const = default;
};
[[noreturn]] inline void throw_exception_from_error(Refusal const &why, boost::source_location const &) {
  throw std::runtime_error(why.detail);
}
template <class T>
using Answered = boost::system::result<T, Refusal>;  // a T, or why nobody is named

struct Found {
  SocketId socket;
  Holders holders;
  auto operator<=>(Found const &) const = default;
};
struct WalkNeeded {  // the socket is there, and nobody in its cgroup holds it
  SocketId socket;
  auto operator<=>(WalkNeeded const &) const = default;
};
struct Walked {
  std::vector<std::variant<Holders, Refusal>> by_inode;  // in the question's order
  auto operator<=>(Walked const &) const = default;
};
struct Described {
  Lineage lineage;
};
using Answer = std::variant<Refusal, Found, WalkNeeded, Walked, Described>;

// `sequence` ties an answer to its question. A question always fits. An answer that would not fit is cut
// (ancestors lose their names) or becomes a Refusal.
Bytes encode(std::uint32_t sequence, Question const &question);
Bytes encode(std::uint32_t sequence, Answer const &answer);

template <class T>
struct Numbered {
  std::uint32_t sequence = 0;
  T value;
};
// nullopt: not exactly one well-formed message.
std::optional<Numbered<Question>> decode_question(std::span<std::uint8_t const> bytes);
std::optional<Numbered<Answer>> decode_answer(std::span<std::uint8_t const> bytes);

}  // namespace imdsgate
