// Process events from the ring of the BPF programs (bpf/exec.bpf.c), through libbpf. Exists where they loaded
// (bpf_execs.hpp); reading it needs no capability.
#pragma once

#include <memory>

#include "attribute/exec_source.hpp"

struct ring_buffer;

namespace imdsgate {

class ExecRing : public ExecSource {
 public:
  // The caller keeps the descriptors open. nullptr: they are not what they should be.
  static std::unique_ptr<ExecRing> open(int ring, int shared);
  ~ExecRing() override;
  ExecRing(ExecRing const &) = delete;
  int poll_fd() override;
  std::chrono::milliseconds patience() const override { return std::chrono::milliseconds(50); }
  bool drain(std::vector<ProcessEvent> &events) override;

 private:
  struct Shared;  // the page that is shared with the programs
  explicit ExecRing(Shared *shared) : shared_(shared) {}
  static int take(void *self, void *data, std::size_t size);
  void tell_losses();

  ring_buffer *ring_ = nullptr;
  Shared *shared_;
  MonotonicTime certain_until_;  // nothing before this was lost that is not told
  std::vector<ProcessEvent> *taken_ = nullptr;
  std::size_t left_ = 0;  // to take in this call
};

}  // namespace imdsgate
