#include "report/host_info.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace imdsgate {
namespace {

namespace fs = std::filesystem;

class HostInfoTest : public ::testing::Test {
 protected:
  HostInfoTest() {
    std::string name = (fs::temp_directory_path() / "imdsgate-host-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~HostInfoTest() override { fs::remove_all(root_); }
  void put(std::string const &path, std::string const &text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << '\n';
  }
  std::string id() const {
    auto const host = read_host_info(Provider::ec2, root_);
    return host ? host->id : "error";
  }
  fs::path root_;
};

// Each better source, once there, takes over.
TEST_F(HostInfoTest, TheFirstSourceThatHoldsAnId) {
  EXPECT_EQ(id(), "error");
  put("proc/sys/kernel/random/boot_id", "0d9f8c1e-1111-4222-8333-444455556666");
  EXPECT_EQ(id(), "0d9f8c1e-1111-4222-8333-444455556666");
  put("sys/class/dmi/id/product_uuid", "EC2A1B2C-1111-4222-8333-444455556666");
  EXPECT_EQ(id(), "ec2a1b2c-1111-4222-8333-444455556666");
  put("etc/machine-id", "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(id(), "0123456789abcdef0123456789abcdef");
}

TEST_F(HostInfoTest, WhatIsNoIdIsPassedOver) {
  put("proc/sys/kernel/random/boot_id", "0d9f8c1e-1111-4222-8333-444455556666");
  put("etc/machine-id", "uninitialized");
  put("sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(id(), "0d9f8c1e-1111-4222-8333-444455556666");
  put("etc/machine-id", "");
  put("sys/class/dmi/id/product_uuid", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF");
  EXPECT_EQ(id(), "0d9f8c1e-1111-4222-8333-444455556666");
}

TEST_F(HostInfoTest, ThisHost) {
  auto const host = read_host_info(Provider::gce);
  ASSERT_TRUE(host);
  EXPECT_FALSE(host->id.empty());
  EXPECT_FALSE(host->name.empty());
  EXPECT_EQ(host->provider, Provider::gce);
}

TEST(EventId, IsAVersion4Uuid) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    auto const id = new_event_id();
    ASSERT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    for (std::size_t const dash : {8, 13, 18, 23}) EXPECT_EQ(id[dash], '-');
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1000u);
}

}  // namespace
}  // namespace imdsgate
