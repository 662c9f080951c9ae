#include "attribute/container_details.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

std::string const kId(64, 'a');

std::string answer(std::string const &name, std::string const &config) {
  return R"({"Id":")" + kId + R"(","Name":")" + name + R"(","Config":)" + config + "}";
}

TEST(ContainerDetails, OfWhatTheRuntimeAnswers) {
  auto const details = parse_container(answer("/web", R"({"Image":"nginx:1.25","Labels":null})"), kId);
  ASSERT_TRUE(details) << details.error().detail;
  EXPECT_EQ(*details, (ContainerDetails{"nginx:1.25", "web", std::nullopt, std::nullopt}));
}

TEST(ContainerDetails, OfAnotherKindAreNone) {
  std::string const image = R"({"Image":"nginx"})";
  for (auto const &text : {std::string(), std::string("[]"), std::string("{"), answer("", image), answer("/", image),
                           answer("/web", "null"), answer("/web", R"({"Image":7})"), answer("/web", R"({"Image":""})"),
                           answer("/" + std::string(2000, 'x'), image)}) {
    EXPECT_FALSE(parse_container(text, kId)) << text;
  }
  EXPECT_FALSE(parse_container(answer("/web", image), std::string(64, 'b'))) << "it is another container";
}

// Labels are an image's, too; the name is not.
TEST(ContainerDetails, OfAPodWhoseNameAgrees) {
  std::string const config =
      R"({"Image":"x","Labels":{"io.kubernetes.pod.name":"web-1","io.kubernetes.pod.namespace":"shop"}})";
  for (auto const &[name, agrees] : {std::pair{"/k8s_web_web-1_shop_4f-1_0", true}, {"/web-1", false}, {"/k8s_web-1_shop", false},
                                     {"/k8s_web_web-1_shop2_4f-1_0", false}, {"/k8s_web_web-1_other_4f-1_0", false},
                                     {"/x_k8s_web_web-1_shop_4f-1_0", false}}) {
    auto const details = parse_container(answer(name, config), kId);
    ASSERT_TRUE(details) << name;
    EXPECT_EQ(details->pod.has_value(), agrees) << name;
    EXPECT_EQ(details->pod_namespace.value_or(""), agrees ? "shop" : "") << name;
  }
}

}  // namespace
}  // namespace imdsgate
