// Bytes in, a parsed header or the reason why not.
#include "act/request_reader.hpp"

#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;

class RequestReaderTest : public Bench {
 protected:
  struct Outcome {
    std::optional<UnreadRequest> refusal;
    RawRequest raw;
    bool done = false;
    bool header_arrived = false;
  };
  Outcome read() {
    Outcome outcome;
    auto const body = [&]() -> boost::asio::awaitable<void> {
      RequestParser parser;
      auto const read = co_await read_request(served_, parser, limits_);
      if (!read) outcome.refusal = read.error();
      outcome.raw = parser.raw();
      outcome.done = parser.is_done();
    };
    run(body);
    return outcome;
  }
};

TEST_F(RequestReaderTest, BytesAndWhatTheyAre) {
  limits_.header_bytes = 200;
  std::string const nul("GET /\0 HTTP/1.1\r\n\r\n", 19);
  struct Case {
    std::string bytes;
    std::optional<Reason> reason;  // nullopt: read
  } const cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::nullopt},
      {"GET / HTTP/1.0\r\n\r\n", std::nullopt},
      {"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", std::nullopt},
      {"GET / HTTP/1.1\r\nX:\ta\tb\r\n\r\n", std::nullopt},
      {"GET / HTTP/1.1\r\nX: caf\xc3\xa9\r\n\r\n", std::nullopt},
      {"\nGET / HTTP/1.1\r\n\r\n", Reason::bare_line_ending},
      {"GET / HTTP/1.1\nHost: x\n\n", Reason::bare_line_ending},
      {"GET / HTTP/1.1\r\nA: 1\nB: 2\r\n\r\n", Reason::bare_line_ending},
      {"GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n", Reason::bare_line_ending},
      {"GET / HTTP/1.1\r\r\n\r\n", Reason::bare_line_ending},
      {nul, Reason::nul_byte},
      {std::string("GET / HTTP/1.1\r\nX: \0", 20), Reason::nul_byte},  // without waiting for the end
      {"\x16\x03\x01\x02\x01\x01", Reason::malformed_request},         // a TLS hello, cut after six bytes
      {"GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n", Reason::malformed_request},
      {"GET / HTTP/1.1\r\nX: \x1b[2J\r\n\r\n", Reason::malformed_request},
      {"GET / HTTP/2.0\r\n\r\n", Reason::malformed_request},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::malformed_request},
      {"GET  HTTP/1.1\r\n\r\n", Reason::malformed_request},
      {"GET /\r\n\r\n", Reason::malformed_request},
      {"G(T / HTTP/1.1\r\n\r\n", Reason::malformed_request},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", Reason::malformed_request},
      {"GET / HTTP/1.1\r\nX : y\r\n\r\n", Reason::malformed_request},
      {"GET / HTTP/1.1\r\nX: " + std::string(300, 'a') + "\r\n\r\n", Reason::limit_header_bytes},
      {"GET / HTTP/1.1\r\nX: " + std::string(300, 'a'), Reason::limit_header_bytes},  // nor for this one's
      {"PUT / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", Reason::limit_body_bytes},
  };
  for (auto const &[bytes, reason] : cases) {
    SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 60)));
    reconnect();
    client_.send(bytes);
    auto const outcome = read();
    ASSERT_EQ(outcome.refusal.has_value(), reason.has_value());
    if (!reason) continue;
    EXPECT_EQ(outcome.refusal->reason, *reason);
    EXPECT_FALSE(outcome.refusal->silent);
  }
}

TEST_F(RequestReaderTest, TheLimitIsTheLastSizeThatPasses) {
  std::string const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  limits_.header_bytes = request.size();
  client_.send(request);
  EXPECT_FALSE(read().refusal);
  limits_.header_bytes = request.size() - 1;
  client_.send(request);
  auto const outcome = read();
  ASSERT_TRUE(outcome.refusal);
  EXPECT_EQ(outcome.refusal->reason, Reason::limit_header_bytes);
}

TEST_F(RequestReaderTest, OrderSpellingAndBytesAreKept) {
  std::string const header =
      "PUT /a?b HTTP/1.1\r\nhOST: x\r\nB:  2 \r\na: 1\r\nb: 3\r\nContent-Length: 2\r\n\r\n";
  client_.send("\r\n" + header + "okGET");
  auto const outcome = read();
  ASSERT_FALSE(outcome.refusal);
  EXPECT_EQ(outcome.raw.method, "PUT");
  EXPECT_EQ(outcome.raw.target, "/a?b");
  EXPECT_EQ(outcome.raw.version, 11);
  EXPECT_EQ(outcome.raw.header_bytes, header);
  std::string fields;
  for (auto const &field : outcome.raw.fields) fields += field.name + '=' + field.value + ';';
  EXPECT_EQ(fields, "hOST=x;B=2;a=1;b=3;Content-Length=2;");
  EXPECT_FALSE(outcome.done);
  EXPECT_EQ(served_.buffered(), "okGET");
}

// Every byte is a turn of the loop of its own.
TEST_F(RequestReaderTest, ByteByByte) {
  std::string const header = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  std::string const sent = "\r\n" + header;
  std::size_t next = 0;
  std::function<void()> const send_one = [&] {
    client_.send({&sent[next], 1});
    if (++next < sent.size()) boost::asio::post(loop_, send_one);
  };
  boost::asio::post(loop_, send_one);
  auto const outcome = read();
  EXPECT_EQ(next, sent.size());
  EXPECT_FALSE(outcome.refusal);
  EXPECT_EQ(outcome.raw.header_bytes, header);
}

TEST_F(RequestReaderTest, ABareCarriageReturnAcrossTwoReads) {
  client_.send("GET / HTTP/1.1\r");
  boost::asio::post(loop_, [&] { boost::asio::post(loop_, [&] { client_.send("X: y\r\n\r\n"); }); });
  auto const outcome = read();
  ASSERT_TRUE(outcome.refusal);
  EXPECT_EQ(outcome.refusal->reason, Reason::bare_line_ending);
}

TEST_F(RequestReaderTest, TwoRequestsInOneWrite) {
  client_.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(read().raw.target, "/1");
  EXPECT_EQ(read().raw.target, "/2");
  EXPECT_EQ(served_.buffered(), "");
}

TEST_F(RequestReaderTest, AClientThatGoes) {
  for (std::string const before : {"", "GET / HT"}) {
    reconnect();
    client_.send(before);
    client_.close();
    auto const outcome = read();
    ASSERT_TRUE(outcome.refusal);
    EXPECT_EQ(outcome.refusal->reason, Reason::client_gone);
    EXPECT_EQ(outcome.refusal->silent, before.empty());
  }
}

TEST_F(RequestReaderTest, ACancelledReadIsATimeout) {
  client_.send("GET / HT");
  EXPECT_FALSE(served_.fill_now());  // so that the read below waits
  boost::asio::post(loop_, [&] { boost::asio::post(loop_, [&] { served_.socket().cancel(); }); });
  auto const outcome = read();
  ASSERT_TRUE(outcome.refusal);
  EXPECT_EQ(outcome.refusal->reason, Reason::header_timeout);
  EXPECT_FALSE(outcome.refusal->silent);
}

TEST_F(RequestReaderTest, HeaderArrivedDoesNotWait) {
  EXPECT_FALSE(header_arrived(served_));
  client_.send("GET / HTTP/1.1\r\n");
  EXPECT_FALSE(header_arrived(served_));
  client_.send("\r\n");
  EXPECT_TRUE(header_arrived(served_));
  EXPECT_FALSE(read().refusal) << "what was looked at is still there";
}

}  // namespace
}  // namespace imdsgate
