#include "gateway/client_history.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using std::chrono::seconds;

class ClientHistoryTest : public testing::Test {
 protected:
  ClientHistoryTest() { policy_.token_binding.verdict = Verdict::alert; }

  RequestEvent event_of(std::string entity, PathClass path_class = PathClass::general) {
    Lineage lineage;
    lineage.process.entity_id = entity;
    lineage.process.args = {"agent", std::string(8000, 'x')};
    lineage.process.at_exec = std::make_shared<Process const>(lineage.process);
    lineage.parent = lineage.process;
    lineage.process.cgroup = "/system.slice/" + entity + ".service";
    RequestEvent event;
    event.attribution.emplace();
    event.attribution->holders.push_back(std::make_shared<Lineage const>(std::move(lineage)));
    event.raw.emplace();
    event.request.emplace();
    event.request->method = "GET";
    event.request->path_class = path_class;
    event.request->imds_version = ImdsVersion::v1;
    event.status = 200;
    return event;
  }
  RequestEvent token_request_of(std::string entity) {
    auto event = event_of(std::move(entity), PathClass::writable);
    event.request->method = "PUT";
    event.request->token_request = true;
    event.request->imds_version = ImdsVersion::v2;
    return event;
  }
  AccessRequest looked(RequestEvent const &event, std::optional<unsigned> per_second = std::nullopt) {
    AccessRequest access{*event.request, &*event.attribution, std::nullopt, "", {}};
    history_.look(policy_, event, per_second, now_, access, tokens_);
    return access;
  }

  Policy policy_;
  ClientHistory history_;
  std::vector<TokenMinters> tokens_;
  ClientHistory::Time now_{std::chrono::hours(10)};
};

TEST_F(ClientHistoryTest, RemembersWhoWasDeniedAToken) {
  auto denied = token_request_of("a");
  denied.action = Action::block;
  denied.status = 429;
  history_.answered(denied, now_);
  EXPECT_FALSE(looked(event_of("a")).denied_token) << "too many requests send nobody to version 1";
  denied.status = 403;
  history_.answered(denied, now_);
  EXPECT_EQ(looked(event_of("a")).denied_token, 0u);
  EXPECT_FALSE(looked(event_of("b")).denied_token);
  history_.answered(token_request_of("a"), now_);
  EXPECT_FALSE(looked(event_of("a")).denied_token);
}

TEST_F(ClientHistoryTest, RemembersWhomATokenWasGivenTo) {
  auto const minting = token_request_of("a");
  auto const reader = history_.reader_for(policy_, minting);
  ASSERT_TRUE(reader);
  auto &token = std::get<TokenReader>(*reader);
  token.begin(200);
  token.field("x-aws-ec2-metadata-token-ttl-seconds", "60");
  token.body("AQ==");
  token.end();
  EXPECT_EQ(history_.tokens().size(), 1u);
  now_ = std::chrono::steady_clock::now();  // a token's end is counted from when it passed
  auto use = event_of("b");
  use.request->imds_version = ImdsVersion::v2;
  use.raw->fields = {{"X-AWS-EC2-Metadata-Token", "AQ=="}, {"x-aws-ec2-metadata-token", "other"}};
  auto const access = looked(use);
  ASSERT_EQ(access.tokens.size(), 2u);
  ASSERT_TRUE(access.tokens[0]);
  auto const &minter = *access.tokens[0]->front();
  EXPECT_EQ(minter.process.entity_id, "a");
  EXPECT_FALSE(minter.parent || !minter.process.args.empty() || !minter.process.at_exec->args.empty())
      << "is kept for hours";
  EXPECT_FALSE(access.tokens[1]);
}

TEST_F(ClientHistoryTest, SaysThatATokenHadToBeForgotten) {
  auto const minting = token_request_of("a");
  auto const mint = [&](std::size_t number) {
    auto const reader = history_.reader_for(policy_, minting);
    auto &token = std::get<TokenReader>(*reader);
    token.begin(200);
    token.field("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    token.body(std::to_string(number));
    token.end();
  };
  now_ = std::chrono::steady_clock::now();
  auto use = event_of("b");
  use.request->imds_version = ImdsVersion::v2;
  for (std::size_t i = 0; i < TokenTable::kMost; ++i) mint(i);
  EXPECT_FALSE(looked(use).tokens_forgotten);
  mint(TokenTable::kMost);
  EXPECT_TRUE(looked(use).tokens_forgotten);
}

TEST_F(ClientHistoryTest, ReadsOnlyWhatThereIsToLearnFrom) {
  EXPECT_FALSE(history_.reader_for(policy_, event_of("a")));
  EXPECT_FALSE(history_.reader_for(policy_, event_of("a", PathClass::identity)));
  EXPECT_TRUE(history_.reader_for(policy_, event_of("a", PathClass::credentials)));
  auto head = event_of("a", PathClass::credentials);
  head.request->method = "HEAD";
  EXPECT_FALSE(history_.reader_for(policy_, head));
  auto nobodys = token_request_of("a");
  nobodys.attribution.reset();
  EXPECT_FALSE(history_.reader_for(policy_, nobodys));
  policy_.token_binding.verdict.reset();
  EXPECT_FALSE(history_.reader_for(policy_, token_request_of("a")));
}

TEST_F(ClientHistoryTest, CountsWhatGoesUpstream) {
  auto const event = event_of("a");
  history_.forwarded(event, now_);
  EXPECT_FALSE(looked(event, 2).over_rate);
  history_.forwarded(event, now_);
  EXPECT_TRUE(looked(event, 2).over_rate);
  EXPECT_FALSE(looked(event_of("b"), 2).over_rate);
  auto nobody = event_of("a");
  nobody.attribution.reset();
  history_.forwarded(nobody, now_);
  history_.forwarded(nobody, now_);
  AccessRequest access{*nobody.request, nullptr, Reason::no_holder, "", {}};
  history_.look(policy_, nobody, 2, now_, access, tokens_);
  EXPECT_TRUE(access.over_rate) << "nobody is one";
}

}  // namespace
}  // namespace imdsgate
