#include "model/reason.hpp"

#include <algorithm>
#include <iterator>

namespace imdsgate {
namespace {
// In the order of the enum, so that info() is an index; reason_test pins it.
constexpr ReasonInfo kReasons[] = {
    {Reason::malformed_request, "malformed_request", 400, "The request could not be parsed as HTTP/1."},
    {Reason::obsolete_folding, "obsolete_folding", 400, "A header line is folded (RFC 9112 §5.2)."},
    {Reason::bare_line_ending, "bare_line_ending", 400, "A line of the header ends in a bare CR or LF."},
    {Reason::nul_byte, "nul_byte", 400, "The header holds a NUL byte."},
    {Reason::duplicate_host, "duplicate_host", 400,
     "There is more than one Host header, or none on HTTP/1.1."},
    {Reason::duplicate_content_length, "duplicate_content_length", 400,
     "There is more than one Content-Length header."},
    {Reason::content_length_list, "content_length_list", 400, "Content-Length is not one decimal number."},
    {Reason::transfer_encoding_with_length, "transfer_encoding_with_length", 400,
     "Transfer-Encoding and Content-Length are both there."},
    {Reason::unsupported_transfer_encoding, "unsupported_transfer_encoding", 400,
     "Transfer-Encoding is not exactly chunked."},
    {Reason::chunked_http10, "chunked_http10", 400, "A Transfer-Encoding on HTTP/1.0."},
    {Reason::absolute_target, "absolute_target", 400, "The target is in absolute form, as if to a proxy."},
    {Reason::authority_target, "authority_target", 400, "CONNECT is not for this service."},
    {Reason::method_trace, "method_trace", 400, "TRACE is not for this service."},
    {Reason::target_form, "target_form", 400, "The target does not start with a slash, or holds a fragment."},
    {Reason::guarded_host_target, "guarded_host_target", 400,
     "The target starts with two slashes and a guarded host, which some parsers read as an authority."},
    {Reason::data_after_http10, "data_after_http10", 400, "Bytes follow the end of an HTTP/1.0 request."},
    {Reason::ambiguous_target, "ambiguous_target", 400,
     "The target or the method has more than one reading."},
    {Reason::socket_gone, "socket_gone", 0, "The client's socket was closed before it could be attributed."},
    {Reason::socket_not_found, "socket_not_found", 0,
     "The kernel knows no socket with the client's addresses."},
    {Reason::no_holder, "no_holder", 0, "No process holds the client's socket."},
    {Reason::walk_timeout, "walk_timeout", 0, "The walk over all processes did not end within its deadline."},
    {Reason::attribution_timeout, "attribution_timeout", 0,
     "The question who is asking was not answered within its deadline."},
    {Reason::attribution_busy, "attribution_busy", 0, "Too many questions who is asking were open."},
    {Reason::prober_unavailable, "prober_unavailable", 0,
     "The process that reads other processes could not be started."},
    {Reason::unreadable, "unreadable", 0, "The client's process could not be read."},
    {Reason::holder_uncertain, "holder_uncertain", 0,
     "Who held the socket at accept and who holds it at the request differ."},
    {Reason::holder_changed, "holder_changed", 0, "The process changed while it was being read."},
    {Reason::peer_changed, "peer_changed", 0,
     "The peer of the UNIX socket is no longer the program that connected."},
    {Reason::second_holder, "second_holder", 0, "A second process holds the peer's end of the UNIX socket."},
    {Reason::process_gone, "process_gone", 0, "The client's process ended before it could be read."},
    {Reason::other_namespace, "other_namespace", 0, "The client, or who may hold its socket, is in another network or pid namespace."},
    {Reason::not_recorded, "not_recorded", 0,
     "There was no room to write down who connected: the client's control group has too many connections."},
    {Reason::policy_deny, "policy_deny", 403, "A deny entry of the policy names this request."},
    {Reason::class_default, "class_default", 403, "This class of path needs a grant."},
    {Reason::unknown_path, "unknown_path", 403, "No entry of the catalogue knows this path."},
    {Reason::imdsv1, "imdsv1", 403, "IMDSv1 is not accepted for this path."},
    {Reason::imdsv1_after_denied_token, "imdsv1_after_denied_token", 403,
     "A request without a session token, from whoever was denied one: clients fall back to IMDSv1."},
    {Reason::token_foreign, "token_foreign", 403,
     "The session token was given to another unit, session or process."},
    {Reason::token_unknown, "token_unknown", 403,
     "Whom the session token was given to is not known: it may be another's."},
    {Reason::unknown_host, "unknown_host", 403,
     "The Host header is no address and no name of the service that was dialled."},
    {Reason::unattributed, "unattributed", 403, "Nobody could be named for this request."},
    {Reason::container_not_granted, "container_not_granted", 403,
     "The request comes from another network namespace, and no allow entry that names a container grants it."},
    {Reason::hop_limit, "hop_limit", 403,
     "EC2's answer with a session token would not come this far: containers.hop_limit is 1."},
    {Reason::exec_events_lost, "exec_events_lost", 403,
     "Exec events were lost, so whether a sequence rule matches is not known."},
    {Reason::exec_unread, "exec_unread", 403,
     "What a sibling exec'd is not known (it was gone too soon, or exec events had only begun), nor whether "
     "a sequence rule "
     "matches."},
    {Reason::quota_share, "quota_share", 0,
     "One process takes more than its part of what the metadata service answers to the whole host."},
    {Reason::not_redirected, "not_redirected", 0, "The connection dialled the listener itself."},
    {Reason::not_local, "not_local", 0, "The connection does not come from this host."},
    {Reason::self_loop, "self_loop", 0, "The gateway's own upstream connection came back to it."},
    {Reason::not_guarded, "not_guarded", 0, "The original destination is not a guarded endpoint."},
    {Reason::older_connection, "older_connection", 0,
     "The connection is older than the redirect and goes past the gateway."},
    {Reason::limit_connections, "limit_connections", 503, "Too many connections are open."},
    {Reason::limit_connections_per_uid, "limit_connections_per_uid", 503,
     "This user has too many connections open."},
    {Reason::limit_requests_per_second, "limit_requests_per_second", 429,
     "This process sends more requests a second than it may."},
    {Reason::limit_header_bytes, "limit_header_bytes", 431, "The request header is too long."},
    {Reason::limit_body_bytes, "limit_body_bytes", 413, "The request body is too long."},
    {Reason::header_timeout, "header_timeout", 408, "The request header did not arrive in time."},
    {Reason::body_timeout, "body_timeout", 408, "The request body did not arrive in time."},
    {Reason::draining, "draining", 503, "The gateway is stopping."},
    {Reason::upstream_refused, "upstream_refused", 502, "The metadata service refused the connection."},
    {Reason::upstream_unreachable, "upstream_unreachable", 502, "The metadata service could not be reached."},
    {Reason::upstream_connect_timeout, "upstream_connect_timeout", 504,
     "The metadata service did not accept the connection in time."},
    {Reason::upstream_timeout, "upstream_timeout", 504, "The metadata service did not answer in time."},
    {Reason::upstream_reset, "upstream_reset", 502,
     "The metadata service closed the connection within its answer."},
    {Reason::upstream_garbage, "upstream_garbage", 502,
     "The metadata service answered with something that is not HTTP/1."},
    {Reason::client_gone, "client_gone", 0,
     "The client closed the connection before the answer was complete."},
};
}  // namespace

std::span<ReasonInfo const> reasons() {
  return kReasons;
}

ReasonInfo const &info(Reason reason) {
  return kReasons[static_cast<std::size_t>(reason)];
}

}  // namespace imdsgate
