#include "decide/token_binding.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

LineagePtr root_in(std::string cgroup, std::string entity) {
  Lineage lineage;
  lineage.process.cgroup = std::move(cgroup);
  lineage.process.entity_id = std::move(entity);
  return std::make_shared<Lineage const>(std::move(lineage));
}

std::string use(LineagePtr user, LineagePtr minter, TokenScope scope) {
  MetadataRequest const request;
  Attribution attribution;
  attribution.holders = {std::move(user)};
  auto const minters = std::make_shared<std::vector<LineagePtr> const>(1, std::move(minter));
  AccessRequest access{request, &attribution, std::nullopt, "", {}};
  access.tokens = std::span(&minters, 1);
  auto const answer = judge_tokens({Verdict::block, scope, {}}, access);
  return answer ? std::string(to_string(answer->use.kind)) : "off";
}

// No cgroup: nothing says that two processes of one user belong together.
TEST(TokenBinding, MakesNoTwoProcessesOneForTheirUidAlone) {
  for (auto const scope : {TokenScope::unit, TokenScope::session, TokenScope::process}) {
    EXPECT_EQ(use(root_in("", "a"), root_in("", "b"), scope), "foreign");
    EXPECT_EQ(use(root_in("", "a"), root_in("/", "b"), scope), "foreign");
    EXPECT_EQ(use(root_in("", "a"), root_in("", "a"), scope), "own");
    EXPECT_EQ(use(root_in("", "a"), root_in("/system.slice/a.service", "a"), scope), "own")
        << "it could not be read any more";
  }
  EXPECT_EQ(use(root_in("/", "a"), root_in("/", "b"), TokenScope::unit), "own") << "the root cgroup is one";
}

}  // namespace
}  // namespace imdsgate
