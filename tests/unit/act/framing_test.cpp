#include "act/framing.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

std::string rendered(std::vector<Field> fields, int version = 11) {
  return render_request_header({"GET", "/x?y", version, std::move(fields), {}});
}

TEST(Framing, OrderAndSpellingAreTheClients) {
  EXPECT_EQ(rendered({{"hOsT", "h"}, {"B", "2"}, {"a", "1"}, {"B", "3"}, {"Empty", ""}}),
            "GET /x?y HTTP/1.1\r\nhOsT: h\r\nB: 2\r\na: 1\r\nB: 3\r\nEmpty: \r\n\r\n");
  EXPECT_EQ(rendered({}, 10), "GET /x?y HTTP/1.0\r\n\r\n");
}

TEST(Framing, OffersOfOtherProtocolsAreLeftOut) {
  struct Case {
    std::vector<Field> fields;
    std::string kept;
  } const cases[] = {
      {{{"Upgrade", "h2c"}, {"HTTP2-Settings", "AAM"}, {"Connection", "Upgrade, HTTP2-Settings"}}, ""},
      {{{"UPGRADE", "websocket"}, {"connection", "keep-alive, upgrade"}}, "connection: keep-alive\r\n"},
      {{{"Connection", "close,upgrade , X-Y"}}, "Connection: close, X-Y\r\n"},
      {{{"Connection", "Upgrade"}, {"Connection", "close"}}, "Connection: close\r\n"},
      {{{"Connection", " keep-alive ,close"}}, "Connection:  keep-alive ,close\r\n"},  // untouched
      {{{"Upgrade-Insecure-Requests", "1"}}, "Upgrade-Insecure-Requests: 1\r\n"},
  };
  for (auto const &[fields, kept] : cases)
    EXPECT_EQ(rendered(fields), "GET /x?y HTTP/1.1\r\n" + kept + "\r\n");
}

TEST(Framing, Chunks) {
  EXPECT_EQ(render_chunk("hello"), "5\r\nhello\r\n");
  EXPECT_EQ(render_chunk("\r\n"), "2\r\n\r\n\r\n");
  std::string const large(0x1a2b, 'x');
  EXPECT_EQ(render_chunk(large), "1a2b\r\n" + large + "\r\n");
}

}  // namespace
}  // namespace imdsgate
