#include "act/request_reader.hpp"

#include <boost/algorithm/string/predicate.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/http/error.hpp>

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::string_view kEndOfHeader = "\r\n\r\n";

// RFC 9112 §2.2: an empty line before the request line is ignored.
void skip_empty_lines(Connection &client) {
  while (client.buffered().starts_with("\r\n")) client.consume(2);
}

// What no line of a header may hold, found as it arrives, so that a TLS hello need not run into the deadline. `from` is
// where the last look ended; the last byte is left for the next look, because a CR may be waiting for its LF.
std::optional<UnreadRequest> forbidden_byte(std::string_view bytes, std::size_t from) {
  for (std::size_t i = from; i < bytes.size(); ++i) {
    auto const byte = static_cast<unsigned char>(bytes[i]);
    if (byte >= 0x20 && byte != 0x7f) continue;
    if (byte == '\t') continue;
    if (byte == 0) return UnreadRequest{Reason::nul_byte, "at byte " + std::to_string(i)};
    bool const next_is_lf = i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if (byte == '\r' && (next_is_lf || i + 1 == bytes.size())) continue;
    if (byte == '\n' && i > 0 && bytes[i - 1] == '\r') continue;
    if (byte == '\r' || byte == '\n') return UnreadRequest{Reason::bare_line_ending, "at byte " + std::to_string(i)};
    return UnreadRequest{Reason::malformed_request, "control character at byte " + std::to_string(i)};
  }
  return std::nullopt;
}

// Beast refuses these by itself; its own codes do not tell all of them apart. `raw` is what it had read until then.
UnreadRequest parse_failure(error_code code, std::string_view header, RawRequest const &raw) {
  auto const failed = [&code](Reason reason) { return UnreadRequest{reason, code.message()}; };
  if (code == http::error::body_limit) return failed(Reason::limit_body_bytes);
  if (code == http::error::header_limit) return failed(Reason::limit_header_bytes);
  if (code == http::error::bad_transfer_encoding) return failed(Reason::unsupported_transfer_encoding);
  if (code == http::error::bad_obs_fold) return failed(Reason::obsolete_folding);
  if (code == http::error::multiple_content_length) return failed(Reason::duplicate_content_length);
  bool const length = code == http::error::bad_content_length;
  if (!length) return failed(Reason::malformed_request);
  bool const encoded = raw.field("Transfer-Encoding") || boost::algorithm::icontains(header, "\r\ntransfer-encoding:");
  return failed(encoded ? Reason::transfer_encoding_with_length : Reason::content_length_list);
}

UnreadRequest read_failure(error_code code, bool anything) {
  if (code == asio::error::operation_aborted) return {Reason::header_timeout, "", false};
  return {Reason::client_gone, code.message(), !anything};
}

}  // namespace

bool header_arrived(Connection &client) {
  if (client.buffered().find(kEndOfHeader) != std::string_view::npos) return true;
  return !client.fill_now() && client.buffered().find(kEndOfHeader) != std::string_view::npos;
}

asio::awaitable<boost::system::result<void, UnreadRequest>> read_request(Connection &client, RequestParser &parser,
                                                                   ReaderLimits limits) {
  std::size_t looked_at = 0;
  std::size_t end = std::string_view::npos;
  for (;;) {
    skip_empty_lines(client);
    auto const bytes = client.buffered();
    end = bytes.find(kEndOfHeader, looked_at > 3 ? looked_at - 3 : 0);
    auto const header = end == std::string_view::npos ? bytes : bytes.substr(0, end + kEndOfHeader.size());
    if (auto refusal = forbidden_byte(header, looked_at)) co_return *refusal;
    if (header.size() > limits.header_bytes) co_return UnreadRequest{Reason::limit_header_bytes, ""};
    if (end != std::string_view::npos) break;
    looked_at = bytes.empty() ? 0 : bytes.size() - 1;
    auto const code = co_await client.fill();
    if (code) co_return read_failure(code, !client.buffered().empty());
  }
  std::size_t const size = end + kEndOfHeader.size();
  auto const header = client.buffered().substr(0, size);
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes + 1));
  parser.body_limit(limits.body_bytes);
  error_code code;
  parser.put(asio::buffer(header.data(), header.size()), code);
  if (code) co_return parse_failure(code, header, parser.raw());
  if (!parser.is_header_done()) co_return UnreadRequest{Reason::malformed_request, "the header does not end"};
  parser.raw().header_bytes.assign(header);
  client.consume(size);
  co_return boost::system::result<void, UnreadRequest>{};
}

}  // namespace imdsgate
