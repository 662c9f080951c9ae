#include "gateway/patience.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;

TEST(Patience, HowLongAnAnswerMayTake) {
  using Query = std::vector<std::pair<std::string, std::string>>;
  struct Case {
    std::string path;
    Query query;
    std::chrono::milliseconds expected;
  } const cases[] = {
      {"/latest/meta-data", {}, 75s},
      {"/metadata/scheduledevents", {}, 5min},
      {"/Metadata/ScheduledEvents", {}, 5min},
      {"/metadata/scheduledevents/x", {}, 75s},
      {"/metadata/instance", {}, 75s},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "TRUE"}, {"timeout_sec", "100"}}, 130s},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "1"}}, 75s},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "0"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "-5"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "soon"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "4294967295"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"timeout_sec", "99999999999999"}}, 24h},
      {"/computeMetadata/v1", {{"wait_for_change", "false"}, {"timeout_sec", "100"}}, 75s},
      {"/computeMetadata/v1", {{"timeout_sec", "100"}}, 75s},
      {"/computeMetadata/v1",
       {{"wait_for_change", "false"}, {"wait_for_change", "true"}},
       24h},  // the last one counts
      {"/computeMetadata/v1", {{"wait_for_change", "true"}, {"wait_for_change", ""}}, 75s},
  };
  for (auto const &[path, query, expected] : cases) {
    MetadataRequest request;
    request.path = path;
    request.query = query;
    EXPECT_EQ(response_timeout(request, 75s), expected) << path << ' ' << testing::PrintToString(query);
  }
}

TEST(Patience, IsNeverLessThanTheOrdinary) {
  MetadataRequest request;
  request.path = "/metadata/scheduledevents";
  EXPECT_EQ(response_timeout(request, 10min), 10min);
}

}  // namespace
}  // namespace imdsgate
