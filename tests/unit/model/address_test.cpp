#include "model/address.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

TEST(Address, IsWhatInetPtonTakesAndNothingBehindIt) {
  EXPECT_EQ(Address::parse("169.254.169.254").value().to_string(), "169.254.169.254");
  EXPECT_EQ(Address::parse("::ffff:169.254.169.254").value().to_string(), "169.254.169.254");
  EXPECT_EQ(Address::parse("FD00:EC2:0::254").value().to_string(), "fd00:ec2::254");
  std::string const longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
  EXPECT_EQ(Address::parse(longest).value().to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  for (std::string const &text :
       {std::string(), std::string("169.254.169.254\0", 16), std::string("::1\0x", 5),
        std::string("\0::1", 4), longest + "5", std::string("169.254.169.254 "), std::string("[::1]"),
        std::string("fe80::1%lo"), std::string(5000, '1')}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
}

}  // namespace
}  // namespace imdsgate
