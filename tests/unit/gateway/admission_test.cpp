#include "gateway/admission.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

TEST(Admission, CapsAllConnections) {
  Admission admission({2, 10});
  auto first = admission.enter();
  {
    auto const second = admission.enter();
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(admission.enter());
    EXPECT_EQ(admission.open(), 2u);
  }
  EXPECT_EQ(admission.open(), 1u);
  EXPECT_TRUE(admission.enter());
}

TEST(Admission, CapsAUser) {
  Admission admission({10, 2});
  std::optional<Admission::Ticket> tickets[4];
  for (auto &ticket : tickets) ticket.emplace(std::move(*admission.enter()));
  EXPECT_TRUE(tickets[0]->claim(1000));
  EXPECT_TRUE(tickets[1]->claim(1000));
  EXPECT_FALSE(tickets[2]->claim(1000));
  EXPECT_TRUE(tickets[3]->claim(1001)) << "another user";
  EXPECT_TRUE(tickets[1]->claim(1000)) << "a second request of a connection that is counted";
  tickets[0].reset();
  EXPECT_TRUE(tickets[2]->claim(1000)) << "the first one's place";
  EXPECT_EQ(admission.open(), 3u);
}

TEST(Admission, ARefusedClaimTakesNoPlace) {
  Admission admission({10, 0});
  {
    auto ticket = admission.enter();
    EXPECT_FALSE(ticket->claim(1000));
    EXPECT_FALSE(ticket->claim(1000));
  }
  admission.set_caps({10, 1});
  auto ticket = admission.enter();
  EXPECT_TRUE(ticket->claim(1000));
}

TEST(Admission, AMovedTicketIsOne) {
  Admission admission({10, 1});
  {
    auto entered = admission.enter();
    EXPECT_TRUE(entered->claim(7));
    Admission::Ticket const moved(std::move(*entered));
    entered.reset();
    EXPECT_EQ(admission.open(), 1u);
    auto other = admission.enter();
    EXPECT_FALSE(other->claim(7));
  }
  EXPECT_EQ(admission.open(), 0u);
  auto ticket = admission.enter();
  EXPECT_TRUE(ticket->claim(7));
}

TEST(Admission, LoweredCapsCloseNothing) {
  Admission admission({3, 3});
  auto first = admission.enter(), second = admission.enter();
  EXPECT_TRUE(first->claim(7) && second->claim(7));
  admission.set_caps({1, 1});
  EXPECT_EQ(admission.open(), 2u);
  first.reset();
  EXPECT_FALSE(admission.enter()) << "still one open";
  second.reset();
  EXPECT_TRUE(admission.enter());
}

}  // namespace
}  // namespace imdsgate
