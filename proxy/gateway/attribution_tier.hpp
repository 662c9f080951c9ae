// How the daemon finds out who asks: by BPF where that loads, else by the prober alone.
#pragma once

#include <memory>
#include <string>

#include "attribute/bpf_attributor.hpp"
#include "attribute/prober_client.hpp"
#include "gateway/settings.hpp"

namespace imdsgate {

class AttributionTier {
 public:
  // Loads what `attribution` says, in the calling thread's network namespace, with the capabilities BpfConnections::load
  // names. An error only for `attribution: bpf`. `prober` must outlive this.
  static Result<AttributionTier> choose(Settings const &settings, ProberClient &prober);

  Attributor &attributor() { return bpf_ ? static_cast<Attributor &>(*bpf_) : *prober_; }
  char const *name() const { return bpf_ ? "bpf" : "sock_diag"; }
  std::string const &why_not_bpf() const { return why_not_bpf_; }  // empty: it is BPF
  // Other endpoints are guarded from now on, or other bridges, or it may take longer.
  Result<void> reload(Settings const &settings);
  BpfAttributor *bpf() { return bpf_.get(); }  // nullptr: it is not
  BpfAttributor const *bpf() const { return bpf_.get(); }

 private:
  ProberClient *prober_ = nullptr;
  std::unique_ptr<BpfAttributor> bpf_;
  std::string why_not_bpf_;
};

}  // namespace imdsgate
