#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/control.hpp"

namespace imdsgate {

namespace asio = boost::asio;

Result<boost::json::object> ask_daemon(std::string const &socket_path, boost::json::object const &command) {
  asio::io_context context;
  asio::local::stream_protocol::socket socket(context);
  boost::system::error_code code;
  socket.connect(asio::local::stream_protocol::endpoint(socket_path), code);
  if (code) return Error{Errc::not_found, "no daemon answers on " + socket_path + ": " + code.message()};
  asio::write(socket, asio::buffer(boost::json::serialize(command) + '\n'), code);
  if (code) return Error{Errc::system, socket_path + ": " + code.message()};
  std::string line;
  asio::read_until(socket, asio::dynamic_buffer(line, 1u << 20), '\n', code);
  if (code) return Error{Errc::refused, socket_path + ": the daemon closed the connection"};
  auto reply = boost::json::parse(line, code);
  if (code || !reply.is_object()) return Error{Errc::malformed, socket_path + ": the daemon's answer is no JSON object"};
  return reply.as_object();
}

}  // namespace imdsgate
