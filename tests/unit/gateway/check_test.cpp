#include "gateway/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace imdsgate {
namespace {

class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "imdsgate-check-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~CheckTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  CheckReport check(std::string const &text) {
    std::ofstream(root_ / "imdsgate.yaml") << text;
    return check_configuration(root_ / "imdsgate.yaml", true, root_);
  }
  std::filesystem::path root_;
};

TEST_F(CheckTest, PrintsEveryErrorAndExitsTwo) {
  auto const report = check("provider: ec2\nmode: x\nlisten: {port: 0}\nrules: []\n");
  EXPECT_EQ(report.exit_status, 2);
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:2:7: mode: expected one of audit, enforce"));
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:3:16: listen.port: expected"));
  EXPECT_EQ(report.effective, "");
}

TEST_F(CheckTest, ExitsZeroWithWarningsOnly) {
  auto const report = check("provider: ec2\nlisten: {port: 8080}\nrules: []\n");
  EXPECT_EQ(report.exit_status, 0);
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:2:16: warning: listen.port: "));
  EXPECT_THAT(report.effective, testing::HasSubstr("port: 8080"));
}

TEST_F(CheckTest, SaysNothingOfAGoodFile) {
  EXPECT_EQ(check("provider: ec2\nrules: []\n").problems, "");
}

}  // namespace
}  // namespace imdsgate
