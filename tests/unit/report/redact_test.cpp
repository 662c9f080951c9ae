#include "report/redact.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "report/ecs.hpp"
#include "sample_event.hpp"

namespace imdsgate {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = text.find("\\t");
    out.emplace_back(text.substr(0, end));
    if (end != std::string_view::npos) text.remove_prefix(end + 2);
  }
  return out;
}

std::string join(std::vector<std::string> const &parts) {
  std::string out;
  for (auto const &part : parts) out.append(out.empty() ? "" : "\\t").append(part);
  return out;
}

TEST(Redact, Table) {
  std::ifstream file(FIXTURES "/report/redaction.txt");
  std::string line;
  int cases = 0;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    auto const bar = line.find(" | ");
    auto const arrow = line.rfind(" => ");
    ASSERT_TRUE(bar != std::string::npos && arrow != std::string::npos) << line;
    auto const kind = line.substr(0, bar);
    auto const input = line.substr(bar + 3, arrow - bar - 3);
    auto const expected = line.substr(arrow + 4);
    if (kind == "target") {
      EXPECT_EQ(redact_target(input), expected);
    } else if (kind == "text") {
      EXPECT_EQ(redact_text(input), expected);
    } else if (kind == "args") {
      EXPECT_EQ(join(redact_arguments(split(input))), expected);
    } else {
      FAIL() << line;
    }
    ++cases;
  }
  EXPECT_GE(cases, 70);
}

TEST(Redact, TakesAnyBytesAndIsIdempotent) {
  std::mt19937 random(7);
  std::string const alphabet = "tokensigBearerBasic=:?&;/@%67\"'\\ -uH_.$(){}\n\xff\x80";
  for (int round = 0; round < 10000; ++round) {
    std::string text(random() % 40, ' ');
    for (char &c : text) c = alphabet[random() % alphabet.size()];
    auto const once = redact_text(text);
    ASSERT_EQ(redact_text(once), once) << text;
    (void)redact_target(text);
    (void)redact_arguments(std::vector<std::string>{text, text});
  }
}

// A marker stands wherever a secret can be; no line may hold one. Header fields other than User-Agent and
// bodies are kept out by type: nothing of them is written at all.
TEST(Redact, NoSecretInAnyEvent) {
  std::string const marker = "s3cr3tMARKER";
  auto event = testing::blocked_event();
  auto lineage = testing::sample_lineage();
  std::vector<std::string> const secrets{"curl",
                                         "-H",
                                         "X-aws-ec2-metadata-token: " + marker,
                                         "--token",
                                         marker,
                                         "--password=" + marker,
                                         "https://u:" + marker + "@h/?sig=" + marker,
                                         "AWS_SECRET_ACCESS_KEY=" + marker,
                                         "-u",
                                         "root:" + marker,
                                         "{\"Token\": \"" + marker + "\"}",
                                         "Authorization: Bearer " + marker};
  lineage->process.args = secrets;
  lineage->parent->args = {
      "sh", "-c", "curl -H 'Authorization: Bearer " + marker + "' \"http://h/?token=" + marker + "\""};
  event.attribution->holders = {lineage};
  event.request->target = "/latest/x?X-Amz-Security-Token=" + marker + "&%74oken=" + marker;
  event.request->query = {{"X-Amz-Security-Token", marker}, {"token", marker}};
  event.request->host = "token=" + marker;  // what is no secret's form is shown: rebinding is told by it
  event.raw->target = event.request->target;
  event.raw->header_bytes = "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: " + marker + "\r\n\r\n";
  event.raw->fields = {{"X-aws-ec2-metadata-token", marker},
                       {"Authorization", "AWS4-HMAC-SHA256 Credential=" + marker},
                       {"Cookie", marker},
                       {"Host", marker},
                       {"X-Unknown", marker},
                       {"User-Agent", "tool/1 token=" + marker}};
  for (auto const kind : {EventKind::event, EventKind::alert}) {
    for (bool const readable : {true, false}) {
      auto copy = event;
      if (!readable) copy.request.reset();  // a request without a meaning is written from what came
      auto const line = to_ecs(copy, testing::sample_host(), kind);
      EXPECT_EQ(line.find(marker), std::string::npos) << line;
      EXPECT_NE(line.find(kRedacted), std::string::npos);
    }
  }
  LifecycleEvent lifecycle;
  lifecycle.message = "reload: token=" + marker;
  lifecycle.details = {{"token", marker}, {"argument", "--password " + marker}};
  auto const line = to_ecs(lifecycle, testing::sample_host());
  EXPECT_EQ(line.find(marker), std::string::npos) << line;
}

}  // namespace
}  // namespace imdsgate
