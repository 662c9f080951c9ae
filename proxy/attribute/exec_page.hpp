// A page of memory that the gateway and the tracker share, so that the gateway can see without a message that
// the tracker has nothing left to tell.
#pragma once

#include <atomic>
#include <cstdint>

#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

// Written by one process each.
struct ExecCounts {
  std::atomic<std::uint32_t> busy;      // tracker: 1 from before it takes events until their records are sent
  std::atomic<std::uint64_t> sent;      // tracker: datagrams
  std::atomic<std::uint64_t> received;  // gateway: datagrams
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared between processes");

class ExecPage {
 public:
  // A new page, all zero.
  static Result<ExecPage> create();
  // The one behind `memory`.
  static Result<ExecPage> map(HeldFd memory);
  ExecPage(ExecPage &&other) noexcept;
  ExecPage &operator=(ExecPage &&other) noexcept;
  ~ExecPage();

  int fd() const { return memory_.get(); }
  ExecCounts *operator->() const { return counts_; }

 private:
  ExecPage(HeldFd memory, ExecCounts *counts) : memory_(std::move(memory)), counts_(counts) {}
  HeldFd memory_;
  ExecCounts *counts_;
};

}  // namespace imdsgate
