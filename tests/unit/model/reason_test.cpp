// The names are API: events, replies, metrics and people's alerts are written for them. A name may be added
// here, never changed.
#include "model/reason.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace imdsgate {
namespace {

TEST(Reasons, HaveTheseNamesForEver) {
  std::vector<std::string_view> names;
  for (auto const &each : reasons()) names.push_back(each.name);
  EXPECT_THAT(
      names,
      testing::ElementsAre(
          "malformed_request", "obsolete_folding", "bare_line_ending", "nul_byte", "duplicate_host",
          "duplicate_content_length", "content_length_list", "transfer_encoding_with_length",
          "unsupported_transfer_encoding", "chunked_http10", "absolute_target", "authority_target",
          "method_trace", "target_form", "guarded_host_target", "data_after_http10", "ambiguous_target",
          "socket_gone", "socket_not_found", "no_holder", "walk_timeout", "attribution_timeout",
          "attribution_busy", "prober_unavailable", "unreadable", "holder_uncertain", "holder_changed",
          "peer_changed", "second_holder", "process_gone", "other_namespace", "not_recorded", "policy_deny", "class_default",
          "unknown_path", "imdsv1", "imdsv1_after_denied_token", "token_foreign", "token_unknown",
          "unknown_host", "unattributed", "container_not_granted", "hop_limit", "exec_events_lost", "exec_unread", "quota_share", "not_redirected",
          "not_local", "self_loop", "not_guarded", "older_connection", "limit_connections", "limit_connections_per_uid",
          "limit_requests_per_second", "limit_header_bytes", "limit_body_bytes", "header_timeout",
          "body_timeout", "draining", "upstream_refused", "upstream_unreachable", "upstream_connect_timeout",
          "upstream_timeout", "upstream_reset", "upstream_garbage", "client_gone"));
}

TEST(Reasons, StandInTheOrderOfTheEnum) {
  std::size_t position = 0;
  for (auto const &each : reasons()) {
    EXPECT_EQ(static_cast<std::size_t>(each.reason), position) << each.name;
    EXPECT_EQ(&info(each.reason), &each);
    EXPECT_EQ(name(each.reason), each.name);
    ++position;
  }
  EXPECT_EQ(static_cast<std::size_t>(Reason::client_gone) + 1, position)
      << "the last of the enum is in the table";
}

TEST(Reasons, AreAnsweredWithAStatusThatExists) {
  std::set<int> const known = {0, 400, 403, 408, 413, 429, 431, 502, 503, 504};
  for (auto const &each : reasons()) {
    EXPECT_TRUE(known.contains(each.status)) << each.name << " " << each.status;
    EXPECT_TRUE(each.text.ends_with('.')) << each.name;
  }
}

TEST(Reasons, RefuseWhatHasNoMeaningWith400) {
  for (auto const &each : reasons()) {
    EXPECT_EQ(each.status == 400, each.reason <= Reason::ambiguous_target) << each.name;
  }
}

}  // namespace
}  // namespace imdsgate
