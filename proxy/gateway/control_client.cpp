#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/control.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr auto kReply = std::chrono::seconds(30);  // a mode change waits for the firewall's own programs
constexpr std::size_t kReplyBytes = 1u << 20;
constexpr auto kWait = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> ask(asio::io_context &context, std::string const &path, std::string const &question,
                          Result<std::string> &answer) {
  asio::local::stream_protocol::socket socket(context);
  asio::local::stream_protocol::endpoint const endpoint(path);
  auto [connected] = co_await socket.async_connect(endpoint, kWait);
  if (connected) {
    answer = Error{Errc::not_found, "no daemon answers on " + path + ": " + connected.message()};
    co_return;
  }
  auto const bytes = asio::buffer(question);
  auto [written, sent] = co_await asio::async_write(socket, bytes, kWait);
  std::string line;
  auto const buffer = asio::dynamic_buffer(line, kReplyBytes);
  auto [read, size] = co_await asio::async_read_until(socket, buffer, '\n', kWait);
  if (written || read || sent != question.size()) {
    answer = Error{Errc::refused, path + ": the daemon closed the connection"};
  } else {
    answer = line.substr(0, size);
  }
}

}  // namespace

Result<boost::json::object> ask_daemon(std::string const &socket_path, boost::json::object const &command) {
  asio::io_context context;
  std::string const question = boost::json::serialize(command) + '\n';
  Result<std::string> answer = Error{Errc::timeout, socket_path + ": the daemon does not answer"};
  asio::co_spawn(context, ask(context, socket_path, question, answer), [](std::exception_ptr) {});
  context.run_for(kReply);
  if (!answer) return answer.error();
  boost::system::error_code code;
  auto reply = boost::json::parse(*answer, code);
  if (code || !reply.is_object())
    return Error{Errc::malformed, socket_path + ": the daemon's answer is no JSON object"};
  return reply.as_object();
}

}  // namespace imdsgate
