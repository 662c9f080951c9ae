#include "attribute/grpc_call.hpp"

#include <nghttp2/nghttp2.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>
#include <cstring>
#include <memory>
#include <string_view>

namespace imdsgate {
namespace {

namespace asio = boost::asio;
using boost::endian::load_big_u32;
using boost::endian::store_big_u32;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPrefix = 5;  // of a message: whether it is compressed, and its length
constexpr std::string_view kOk = "0", kNotFound = "5";

// One request and its answer, and no input or output: what is to be written is taken from the session, what was read is given
// to it.
struct Call {
  std::string request;
  std::size_t sent = 0;
  std::size_t most = 0;
  std::string http_status, grpc_status, grpc_message, body;
  bool too_large = false, over = false;
};

std::string_view text(std::uint8_t const *data, std::size_t size) { return {reinterpret_cast<char const *>(data), size}; }

int on_header(nghttp2_session *, nghttp2_frame const *, std::uint8_t const *name, std::size_t name_size,
              std::uint8_t const *value, std::size_t value_size, std::uint8_t, void *user) {
  auto &call = *static_cast<Call *>(user);
  auto const key = text(name, name_size);
  if (key == ":status") call.http_status = text(value, value_size);
  if (key == "grpc-status") call.grpc_status = text(value, value_size);
  if (key == "grpc-message") call.grpc_message = text(value, value_size);
  return 0;
}

int on_data(nghttp2_session *, std::uint8_t, std::int32_t, std::uint8_t const *data, std::size_t size, void *user) {
  auto &call = *static_cast<Call *>(user);
  call.too_large = call.body.size() + size > call.most;
  if (call.too_large) return NGHTTP2_ERR_CALLBACK_FAILURE;
  call.body += text(data, size);
  return 0;
}

int on_close(nghttp2_session *, std::int32_t, std::uint32_t, void *user) {
  static_cast<Call *>(user)->over = true;
  return 0;
}

ssize_t read_request(nghttp2_session *, std::int32_t, std::uint8_t *to, std::size_t room, std::uint32_t *flags,
                     nghttp2_data_source *, void *user) {
  auto &call = *static_cast<Call *>(user);
  auto const size = call.request.copy(reinterpret_cast<char *>(to), room, call.sent);
  call.sent += size;
  if (call.sent == call.request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

struct Delete {
  void operator()(nghttp2_session *session) const { nghttp2_session_del(session); }
  void operator()(nghttp2_session_callbacks *callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
using Session = std::unique_ptr<nghttp2_session, Delete>;

Session open_session(Call &call) {
  nghttp2_session_callbacks *made = nullptr;
  if (nghttp2_session_callbacks_new(&made) != 0) return nullptr;
  std::unique_ptr<nghttp2_session_callbacks, Delete> const callbacks(made);
  nghttp2_session_callbacks_set_on_header_callback(made, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(made, on_close);
  nghttp2_session *session = nullptr;
  return Session(nghttp2_session_client_new(&session, made, &call) == 0 ? session : nullptr);
}

nghttp2_nv field(std::string_view name, std::string_view value) {
  auto const bytes = [](std::string_view of) { return reinterpret_cast<std::uint8_t *>(const_cast<char *>(of.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};  // it copies both
}

bool submit(nghttp2_session *session, std::string_view path) {
  std::array const fields{field(":method", "POST"), field(":scheme", "http"), field(":path", path), field(":authority", "localhost"),
                          field("content-type", "application/grpc"), field("te", "trailers")};
  nghttp2_data_provider provider{};
  provider.read_callback = read_request;
  return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0) == 0 &&
         nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), &provider, nullptr) > 0;
}

std::string with_prefix(std::string_view message) {
  std::array<unsigned char, kPrefix> prefix{};  // not compressed
  store_big_u32(&prefix[1], static_cast<std::uint32_t>(message.size()));
  return std::string(text(prefix.data(), prefix.size())).append(message);
}

Result<std::string> message_in(Call const &call) {
  if (call.too_large) return Error{Errc::refused, "its answer has more than " + std::to_string(call.most) + " bytes"};
  if (call.grpc_status.empty()) return Error{Errc::malformed, "it does not speak gRPC: HTTP status " + call.http_status};
  if (call.grpc_status != kOk) {
    auto const code = call.grpc_status == kNotFound ? Errc::not_found : Errc::refused;
    return Error{code, "it answers gRPC status " + call.grpc_status + ": " + call.grpc_message};
  }
  auto const *bytes = reinterpret_cast<unsigned char const *>(call.body.data());
  bool const one = call.body.size() >= kPrefix && bytes[0] == 0 && load_big_u32(bytes + 1) == call.body.size() - kPrefix;
  if (!one) return Error{Errc::malformed, "its answer is not one message, not compressed"};
  return call.body.substr(kPrefix);
}

Error broken(ssize_t code) { return {Errc::malformed, std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(code))}; }

// Everything that the session has to say.
asio::awaitable<Result<void>> write_all(UnixStream &stream, nghttp2_session *session) {
  for (;;) {
    std::uint8_t const *bytes = nullptr;
    auto const size = nghttp2_session_mem_send(session, &bytes);
    if (size < 0) co_return broken(size);
    if (size == 0) co_return Result<void>{};
    auto const written = co_await asio::async_write(stream, asio::buffer(bytes, static_cast<std::size_t>(size)), kTuple);
    if (auto const code = std::get<0>(written)) co_return stream_failure("write", code);
  }
}

}  // namespace

asio::awaitable<Result<std::string>> grpc_call(UnixStream &stream, std::string path, std::string request, std::size_t most) {
  Call call;
  call.request = with_prefix(request);
  call.most = most;
  auto const session = open_session(call);
  if (!session || !submit(session.get(), path)) co_return Error{Errc::system, "HTTP/2: out of memory"};
  std::array<std::uint8_t, 16384> buffer;
  while (!call.over) {
    auto const written = co_await write_all(stream, session.get());
    if (!written) co_return written.error();
    auto const read = co_await stream.async_read_some(asio::buffer(buffer), kTuple);
    if (auto const code = std::get<0>(read)) co_return stream_failure("read", code);
    auto const taken = nghttp2_session_mem_recv(session.get(), buffer.data(), std::get<1>(read));
    if (call.too_large) break;
    if (taken < 0) co_return broken(taken);
  }
  co_return message_in(call);
}

}  // namespace imdsgate
