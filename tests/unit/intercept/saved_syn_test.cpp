#include "intercept/saved_syn.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace imdsgate {
namespace {

using Packet = std::vector<std::uint8_t>;

Packet ipv4(std::size_t header, std::uint8_t protocol = 6) {
  Packet packet(header + 20);
  packet[0] = static_cast<std::uint8_t>(0x40 | header / 4);
  packet[9] = protocol;
  for (std::size_t i = 0; i < 4; ++i) packet[header + 4 + i] = static_cast<std::uint8_t>(0x81 + i);
  return packet;
}

Packet ipv6(std::uint8_t next = 6) {
  Packet packet(60);
  packet[0] = 0x60;
  packet[6] = next;
  packet[44] = 0xff;
  return packet;
}

TEST(SavedSyn, HasItsSequenceNumber) {
  EXPECT_EQ(syn_sequence(ipv4(20)), 0x81828384u);
  EXPECT_EQ(syn_sequence(ipv4(60)), 0x81828384u) << "behind the options";
  EXPECT_EQ(syn_sequence(ipv6()), 0xff000000u);
}

TEST(SavedSyn, IsNotGuessed) {
  EXPECT_EQ(syn_sequence({}), std::nullopt);
  EXPECT_EQ(syn_sequence(ipv4(20, 17)), std::nullopt);
  EXPECT_EQ(syn_sequence(ipv6(0)), std::nullopt) << "an extension header comes first";
  EXPECT_EQ(syn_sequence(Packet(60, 0x50)), std::nullopt);
  auto cut = ipv4(20);
  cut.resize(27);
  EXPECT_EQ(syn_sequence(cut), std::nullopt);
  cut.resize(10);
  EXPECT_EQ(syn_sequence(cut), std::nullopt);
}

}  // namespace
}  // namespace imdsgate
