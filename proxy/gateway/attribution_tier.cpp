#include "gateway/attribution_tier.hpp"

namespace imdsgate {

Result<AttributionTier> AttributionTier::choose(Settings const &settings, ProberClient &prober) {
  AttributionTier tier;
  tier.prober_ = &prober;
  prober.attribute_within(settings.limits.attribution_timeout);
  if (settings.attribution == AttributionChoice::sock_diag) {
    tier.why_not_bpf_ = "attribution: sock_diag";
    return tier;
  }
  auto connections = BpfConnections::load(settings.endpoints);
  if (connections) {
    (*connections)->record_every_namespace(!settings.bridges.empty());
    tier.bpf_ = std::make_unique<BpfAttributor>(prober, std::move(*connections));
    tier.bpf_->attribute_within(settings.limits.attribution_timeout);
    return tier;
  }
  tier.why_not_bpf_ = connections.error().detail;
  if (settings.attribution == AttributionChoice::bpf) {
    return Error{connections.error().code, "attribution: bpf: " + tier.why_not_bpf_};
  }
  return tier;
}

Result<void> AttributionTier::reload(Settings const &settings) {
  prober_->attribute_within(settings.limits.attribution_timeout);
  if (!bpf_) return {};
  bpf_->attribute_within(settings.limits.attribution_timeout);
  bpf_->connections().record_every_namespace(!settings.bridges.empty());
  return bpf_->connections().guard(settings.endpoints);
}

}  // namespace imdsgate
