// The reasons table: every denial, refusal and failure that is not a rule's has one of these names. Names are
// API.
#pragma once

#include <span>
#include <string_view>

namespace imdsgate {

enum class Reason {
  // the message has no single meaning: 400 in both modes (facts §7)
  malformed_request,
  obsolete_folding,
  bare_line_ending,
  nul_byte,
  duplicate_host,
  duplicate_content_length,
  content_length_list,
  transfer_encoding_with_length,
  unsupported_transfer_encoding,
  chunked_http10,
  absolute_target,
  authority_target,
  method_trace,
  target_form,
  guarded_host_target,
  data_after_http10,
  // only its target is ambiguous: 400 in enforce, forwarded and marked in audit
  ambiguous_target,
  // nobody could be named (the prober's answers)
  socket_gone,
  socket_not_found,
  no_holder,
  walk_timeout,
  attribution_timeout,
  attribution_busy,
  prober_unavailable,
  unreadable,
  holder_uncertain,
  holder_changed,
  peer_changed,
  second_holder,
  process_gone,
  other_namespace,
  not_recorded,
  // the policy
  policy_deny,
  class_default,
  unknown_path,
  imdsv1,
  imdsv1_after_denied_token,
  token_foreign,
  token_unknown,
  unknown_host,
  unattributed,
  container_not_granted,
  hop_limit,
  exec_events_lost,
  exec_unread,
  quota_share,
  // the connection
  not_redirected,
  not_local,
  self_loop,
  not_guarded,
  older_connection,
  // limits and deadlines
  limit_connections,
  limit_connections_per_uid,
  limit_requests_per_second,
  limit_header_bytes,
  limit_body_bytes,
  header_timeout,
  body_timeout,
  draining,
  // upstream
  upstream_refused,
  upstream_unreachable,
  upstream_connect_timeout,
  upstream_timeout,
  upstream_reset,
  upstream_garbage,
  client_gone,
};

struct ReasonInfo {
  Reason reason;
  std::string_view name;  // as in the events, the replies and the metrics
  int status;  // what the client is answered with; 0: the connection is closed, or it is not an answer of its
               // own
  std::string_view text;  // one sentence for people
};

std::span<ReasonInfo const> reasons();
ReasonInfo const &info(Reason reason);
inline std::string_view name(Reason reason) {
  return info(reason).name;
}

}  // namespace imdsgate
