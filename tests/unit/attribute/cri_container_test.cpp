#include "attribute/cri_container.hpp"

#include <gtest/gtest.h>

#include "cri.pb.h"

namespace imdsgate {
namespace {

class CriContainer : public testing::Test {
 protected:
  CriContainer() {
    auto &status = *response_.mutable_status();
    status.set_id("5e1f");
    status.mutable_metadata()->set_name("web");
    status.mutable_image()->set_image("docker.io/library/nginx:1.25");
  }
  void label(char const *name, char const *value) { (*response_.mutable_status()->mutable_labels())[name] = value; }
  Result<ContainerDetails> parsed() const { return parse_container_status(response_.SerializeAsString(), "5e1f"); }

  runtime::v1::ContainerStatusResponse response_;
};

TEST_F(CriContainer, IsAskedForByItsId) {
  runtime::v1::ContainerStatusRequest request;
  ASSERT_TRUE(request.ParseFromString(container_status_request("5e1f")));
  EXPECT_EQ(request.container_id(), "5e1f");
}

TEST_F(CriContainer, HasItsImageItsNameAndItsPod) {
  label("io.kubernetes.pod.name", "web-0");
  label("io.kubernetes.pod.namespace", "prod");
  auto const details = parsed();
  ASSERT_TRUE(details) << details.error().detail;
  EXPECT_EQ(details->image, "docker.io/library/nginx:1.25");
  EXPECT_EQ(details->name, "web");
  EXPECT_EQ(details->pod, "web-0");
  EXPECT_EQ(details->pod_namespace, "prod");
}

TEST_F(CriContainer, HasNoPodWithoutBothItsWords) {
  label("io.kubernetes.pod.name", "web-0");
  auto const details = parsed();
  ASSERT_TRUE(details);
  EXPECT_EQ(details->pod, std::nullopt);
  EXPECT_EQ(details->pod_namespace, std::nullopt);
}

TEST_F(CriContainer, IsNotAnothers) {
  response_.mutable_status()->set_id("5e1f0");
  auto const details = parsed();
  ASSERT_FALSE(details);
  EXPECT_EQ(details.error().code, Errc::malformed);
}

TEST_F(CriContainer, HasAnImageAndAName) {
  response_.mutable_status()->clear_image();
  EXPECT_FALSE(parsed());
}

TEST_F(CriContainer, AnswersThatAreNoneAreMalformed) {
  auto const details = parse_container_status("\x0a\xff", "5e1f");
  ASSERT_FALSE(details);
  EXPECT_EQ(details.error().code, Errc::malformed);
}

}  // namespace
}  // namespace imdsgate
