#include "report/metrics.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "sample_event.hpp"

namespace imdsgate {
namespace {

// A strict reading of text format 0.0.4: every sample belongs to a family whose HELP and TYPE came before it,
// each series is there once, every value is a number.
std::map<std::string, double> parse(std::string const &text) {
  std::map<std::string, double> series;
  std::set<std::string> helped;
  std::string family, type;
  std::regex const sample(
      R"re(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\["\\n])*",?)*\})? (\S+)$)re");
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::smatch match;
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(helped.insert(family).second) << family;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), family);
      type = line.substr(line.find(' ', 7) + 1);
    } else if (std::regex_match(line, match, sample)) {
      std::string name = match[1];
      if (type == "histogram") name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
      EXPECT_EQ(name, family) << line;
      char *end = nullptr;
      std::string const number = match[3];
      double const value = std::strtod(number.c_str(), &end);
      EXPECT_EQ(*end, '\0') << line;
      EXPECT_TRUE(series.emplace(match[1].str() + match[2].str(), value).second) << "twice: " << line;
    } else {
      ADD_FAILURE() << "not a line of the format: " << line;
    }
  }
  EXPECT_TRUE(text.ends_with('\n'));
  return series;
}

// interfaces §5: names and labels are API.
TEST(Metrics, NamesAndLabels) {
  Metrics metrics("1.2.3");
  metrics.set_mode(Mode::audit);
  auto event = testing::blocked_event();
  metrics.count(event, Provider::ec2);
  event.unattributed = Reason::walk_timeout;
  event.failure = Reason::upstream_connect_timeout;
  metrics.count(event, Provider::ec2);
  metrics.count_refused(Reason::limit_connections);
  metrics.count_alert("unusual-imds-request");
  metrics.count_suppressed("unusual-imds-request");
  metrics.set_events_dropped("file:/var/log/imdsgate/events.ndjson", 7);
  metrics.count_exec_events_lost(3);
  metrics.count_firewall_drift();
  metrics.count_prober_replaced();
  metrics.set_connections(5);
  metrics.set_tokens(9, 4);
  metrics.set_rates_untracked(6);
  metrics.set_rule_limits({1, 2, 3, 4, 5});
  metrics.set_pending_sequences(8);
  metrics.set_denied_tokens_forgotten(3);
  metrics.count_reload(true);
  metrics.count_reload(false);
  metrics.count_event(Metrics::EventKindLabel::alert);
  auto const series = parse(metrics.render());
  std::map<std::string, double> const expected{
      {R"(imdsgate_requests_total{provider="ec2",class="credentials",verdict="block",action="block"})", 2},
      {R"(imdsgate_imds_requests_total{version="v1"})", 2},
      {R"(imdsgate_imds_requests_total{version="v2"})", 0},
      {R"(imdsgate_alerts_total{rule="unusual-imds-request"})", 1},
      {R"(imdsgate_alerts_suppressed_total{rule="unusual-imds-request"})", 1},
      {R"(imdsgate_unattributed_total{reason="walk_timeout"})", 1},
      {R"(imdsgate_unattributed_total{reason="no_holder"})", 0},
      {R"(imdsgate_upstream_errors_total{kind="connect_timeout"})", 1},
      {R"(imdsgate_upstream_errors_total{kind="refused"})", 0},
      {R"(imdsgate_refused_total{reason="limit_connections"})", 1},
      {R"(imdsgate_events_dropped_total{sink="file:/var/log/imdsgate/events.ndjson"})", 7},
      {"imdsgate_exec_events_lost_total", 3},
      {"imdsgate_firewall_drift_total", 1},
      {"imdsgate_prober_replaced_total", 1},
      {"imdsgate_connections", 5},
      {"imdsgate_tokens", 9},
      {"imdsgate_rates_untracked_total", 6},
      {R"(imdsgate_rule_limits_total{limit="sequences"})", 1},
      {R"(imdsgate_rule_limits_total{limit="join_keys"})", 2},
      {R"(imdsgate_rule_limits_total{limit="values"})", 3},
      {R"(imdsgate_rule_limits_total{limit="execs"})", 4},
      {R"(imdsgate_rule_limits_total{limit="processes"})", 5},
      {"imdsgate_pending_sequences", 8},
      {"imdsgate_denied_tokens_forgotten_total", 3},
      {"imdsgate_tokens_refused_total", 4},
      {R"(imdsgate_reloads_total{result="loaded"})", 1},
      {R"(imdsgate_reloads_total{result="failed"})", 1},
      {R"(imdsgate_events_total{kind="alert"})", 1},
      {R"(imdsgate_mode{mode="audit"})", 1},
      {R"(imdsgate_mode{mode="enforce"})", 0},
      {R"(imdsgate_build_info{version="1.2.3"})", 1},
      {"imdsgate_added_seconds_count", 0},
      {R"(imdsgate_attribution_seconds_count{method="sock_diag"})", 0},
      {R"(imdsgate_attribution_seconds_count{method="peercred"})", 0},
      {R"(imdsgate_attribution_seconds_count{method="bpf"})", 0},
  };
  for (auto const &[name, value] : expected) {
    ASSERT_TRUE(series.contains(name)) << name;
    EXPECT_EQ(series.at(name), value) << name;
  }
}

TEST(Metrics, HistogramBucketsAreCumulative) {
  Metrics metrics("1");
  for (auto const duration : {std::chrono::microseconds(50), std::chrono::microseconds(51),
                              std::chrono::microseconds(800), std::chrono::microseconds(20'000'000)}) {
    metrics.observe_added(duration);
  }
  metrics.observe_attribution(Attribution::Method::peercred, std::chrono::milliseconds(3));
  auto const series = parse(metrics.render());
  EXPECT_EQ(series.at(R"(imdsgate_added_seconds_bucket{le="0.00005"})"), 1);
  EXPECT_EQ(series.at(R"(imdsgate_added_seconds_bucket{le="0.0001"})"), 2);
  EXPECT_EQ(series.at(R"(imdsgate_added_seconds_bucket{le="0.001"})"), 3);
  EXPECT_EQ(series.at(R"(imdsgate_added_seconds_bucket{le="10"})"), 3);
  EXPECT_EQ(series.at(R"(imdsgate_added_seconds_bucket{le="+Inf"})"), 4);
  EXPECT_EQ(series.at("imdsgate_added_seconds_count"), 4);
  EXPECT_NEAR(series.at("imdsgate_added_seconds_sum"), 20.000901, 1e-6);
  EXPECT_EQ(series.at(R"(imdsgate_attribution_seconds_count{method="peercred"})"), 1);
}

TEST(Metrics, LabelsAreEscapedAndBounded) {
  Metrics metrics("1");
  metrics.count_alert("a\"b\\c\nd");
  auto const text = metrics.render();
  EXPECT_NE(text.find(R"(imdsgate_alerts_total{rule="a\"b\\c\nd"} 1)"), std::string::npos);
  parse(text);
  for (std::size_t i = 0; i < Metrics::kMaxNames + 10; ++i) metrics.count_alert("r" + std::to_string(i));
  auto const series = parse(metrics.render());
  EXPECT_EQ(series.at(R"(imdsgate_alerts_total{rule="other"})"), 11);
}

TEST(Metrics, ARequestWithoutAMeaningHasNoClass) {
  Metrics metrics("1");
  auto event = testing::blocked_event();
  event.request.reset();
  event.failure = Reason::bare_line_ending;
  metrics.count(event, Provider::gce);
  auto const series = parse(metrics.render());
  EXPECT_EQ(
      series.at(R"(imdsgate_requests_total{provider="gce",class="none",verdict="block",action="block"})"), 1);
  EXPECT_EQ(series.at(R"(imdsgate_refused_total{reason="bare_line_ending"})"), 1);
}

}  // namespace
}  // namespace imdsgate
