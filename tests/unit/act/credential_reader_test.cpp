#include "act/credential_reader.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using Name = CredentialMembers::Name;

std::chrono::system_clock::time_point const kNow{std::chrono::milliseconds(1'764'000'000'500)};

MetadataRequest asked(Provider provider, std::string path) {
  MetadataRequest request;
  request.provider = provider;
  request.path = std::move(path);
  return request;
}
auto const kRole = asked(Provider::ec2, "/latest/meta-data/iam/security-credentials/role");
auto const kAzure = asked(Provider::azure, "/metadata/identity/oauth2/token");

constexpr std::string_view kAws = R"({
  "Code" : "Success", "LastUpdated" : "2026-11-24T12:00:00Z", "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey" : "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  "Token" : "IQoJb3JpZ2luX2VjEXAMPLE==", "Expiration" : "2026-11-24T18:00:00Z"
})";

// The body in pieces of so many bytes, each gone on before the next comes.
std::shared_ptr<Credential const> read(std::string_view body, MetadataRequest const &request = kRole,
                                       std::size_t piece = 100'000, bool complete = true) {
  CredentialReader reader;
  reader.begin(200);
  reader.field("Content-Type", "text/plain");
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    std::string const copy(body.substr(0, piece));  // gone after sent()
    reader.body(copy);
    reader.sent();
  }
  if (complete) reader.end();
  return reader.credential(request, kNow);
}

TEST(CredentialReader, NamesAnAccessKeyAndNoSecret) {
  for (std::size_t const piece : {1u, 2u, 7u, 64u, 10'000u}) {
    auto const found = read(kAws, kRole, piece);
    ASSERT_TRUE(found) << piece;
    EXPECT_EQ(found->access_key_id, "ASIAIOSFODNN7EXAMPLE");
    EXPECT_EQ(found->type, "AWS-HMAC");
    EXPECT_EQ(found->expiration, "2026-11-24T18:00:00Z");
    EXPECT_FALSE(found->unreadable || found->client_id || found->service_account || found->role_arn);
  }
}

TEST(CredentialReader, TakesWhiteSpaceBehindTheDocument) {
  std::string body(kAws);
  body.append("\r\n \n");
  for (std::size_t piece = 1; piece < body.size(); ++piece)
    EXPECT_FALSE(read(body, kRole, piece)->unreadable) << piece;
  body.append("{}");
  EXPECT_TRUE(read(body, kRole, 1)->unreadable);
}

TEST(CredentialReader, NamesWhatEachCloudHandsOut) {
  auto const ecs =
      read(R"({"RoleArn":"arn:aws:iam::123456789012:role/task","AccessKeyId":"ASIA1","SecretAccessKey":"s",)"
           R"("Token":"t","Expiration":"2026-11-24T18:00:00Z"})");
  EXPECT_EQ(ecs->role_arn, "arn:aws:iam::123456789012:role/task");
  EXPECT_EQ(ecs->access_key_id, "ASIA1");

  auto const gce =
      read(R"({"access_token":"ya29.secret","expires_in":3599,"token_type":"Bearer"})",
           asked(Provider::gce,
                 "/computeMetadata/v1/instance/service-accounts/a@b.iam.gserviceaccount.com/token"));
  EXPECT_EQ(gce->service_account, "a@b.iam.gserviceaccount.com");
  EXPECT_EQ(gce->type, "Bearer");
  EXPECT_EQ(gce->expiration, "2025-11-24T16:59:59Z");  // 2025-11-24T16:00:00Z and 3599 s
  EXPECT_EQ(read(R"({"expires_in":1})",
                 asked(Provider::gce, "/computeMetadata/v1/instance/service-accounts/default/token"))
                ->service_account,
            "default");

  auto const azure =
      read(R"({"access_token":"eyJ0.secret","client_id":"5E29463D-71DA-4FE0-8E69-999B57DB23B0",)"
           R"("expires_in":"86399","expires_on":"1764086400","not_before":"1","resource":)"
           R"("https://management.azure.com/","token_type":"Bearer"})",
           kAzure);
  EXPECT_EQ(azure->client_id, "5E29463D-71DA-4FE0-8E69-999B57DB23B0");
  EXPECT_EQ(azure->resource, "https://management.azure.com/");
  EXPECT_EQ(azure->expiration, "2025-11-25T16:00:00Z");
}

// What stands where a name should, and is none, is not kept.
TEST(CredentialReader, KeepsNothingThatIsNotMadeAsItsName) {
  auto const found =
      read(R"({"AccessKeyId":"a secret/of=some kind","Type":"AWS-HMAC","Expiration":"tomorrow, I think",)"
           R"("client_id":{"AccessKeyId":"ASIANESTED"},"resource":["x"],"list":[{"AccessKeyId":"ASIA2"}]})");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->access_key_id || found->expiration || found->client_id || found->resource ||
               found->unreadable);
  auto const endless = read(R"({"AccessKeyId":")" + std::string(5000, 'A') + R"(","Type":"AWS-HMAC"})");
  EXPECT_FALSE(endless->access_key_id);
  EXPECT_EQ(endless->type, "AWS-HMAC");
  EXPECT_FALSE(read(R"({"AccessKeyId":null,"Type":true,"expires_in":-1})"));
}

TEST(CredentialReader, MarksWhatItCannotRead) {
  for (std::string_view const body :
       {"", "no JSON", "<xml/>", "{\"AccessKeyId\":\"ASIA1\"", "{} {}", "{\"a\":\"\xff\"}"}) {
    auto const found = read(body);
    ASSERT_TRUE(found) << body;
    EXPECT_TRUE(found->unreadable) << body;
  }
  auto const cut = read(kAws.substr(0, kAws.find("\"Secret")), kRole, 100'000, false);
  EXPECT_TRUE(cut->unreadable);
  EXPECT_EQ(cut->access_key_id, "ASIAIOSFODNN7EXAMPLE") << "the client has it";

  CredentialReader packed;
  packed.begin(200);
  packed.field("content-encoding", "gzip");
  packed.body("\x1f\x8b");
  packed.sent();
  packed.end();
  EXPECT_TRUE(packed.credential(kRole, kNow)->unreadable);

  auto const long_one =
      read("{\"x\":\"" + std::string(70'000, 'x') + "\",\"AccessKeyId\":\"ASIA1\"}", kRole, 4096);
  EXPECT_TRUE(long_one->unreadable);
  EXPECT_FALSE(long_one->access_key_id);
}

TEST(CredentialReader, SaysNothingOfWhatIsNoCredential) {
  EXPECT_FALSE(read(R"({"Code":"Failed"})"));
  CredentialReader refused;
  refused.begin(404);
  refused.body(kAws);
  refused.sent();
  refused.end();
  EXPECT_FALSE(refused.credential(kRole, kNow));
  CredentialReader interim;  // and what an interim response said counts for nothing
  interim.begin(103);
  interim.end();
  interim.begin(200);
  interim.body(kAws);
  interim.sent();
  interim.end();
  EXPECT_FALSE(interim.credential(kRole, kNow)->unreadable);
}

}  // namespace
}  // namespace imdsgate
