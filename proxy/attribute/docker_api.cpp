#include "attribute/docker_api.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "attribute/container_details.hpp"

namespace imdsgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Answer = http::response<http::string_body>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

asio::awaitable<Result<Answer>> get(UnixStream &stream, std::string target, std::size_t most) {
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "localhost");  // Go's server wants one
  auto const written = co_await http::async_write(stream, request, kTuple);
  if (auto const code = std::get<0>(written)) co_return stream_failure("write", code);
  http::response_parser<http::string_body> parser;
  parser.body_limit(most);
  beast::flat_buffer buffer;
  auto const read = co_await http::async_read(stream, buffer, parser, kTuple);
  if (auto const code = std::get<0>(read)) co_return stream_failure("read", code);
  co_return parser.release();
}

// "v1.43/"; a runtime that does not say is asked without, for its own.
std::string version_in(Answer const &pong) {
  auto const value = pong["Api-Version"];
  std::string_view const version(value.data(), value.size());
  bool const is_one =
      !version.empty() && version.size() <= 8 && version.find_first_not_of("0123456789.") == version.npos;
  return is_one ? "/v" + std::string(version) : std::string();
}

}  // namespace

asio::awaitable<Result<ContainerDetails>> DockerApi::ask(UnixStream &stream, std::string id, std::size_t most) {
  if (version_.empty()) {
    auto pong = co_await get(stream, "/_ping", most);
    if (!pong) co_return pong.error();
    version_ = version_in(*pong);
  }
  std::string const target = version_ + "/containers/" + id + "/json";
  auto const answer = co_await get(stream, target, most);
  if (!answer) co_return answer.error();
  if (answer->result() == http::status::not_found)
    co_return Error{Errc::not_found, "it has no such container"};
  if (answer->result() != http::status::ok) {
    version_.clear();  // it may be another by now
    co_return Error{Errc::refused, "it answers " + std::to_string(answer->result_int())};
  }
  co_return parse_container(answer->body(), id);
}

}  // namespace imdsgate
