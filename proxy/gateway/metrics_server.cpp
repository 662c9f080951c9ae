#include "gateway/metrics_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>

#include "act/request_reader.hpp"
#include "act/watchdog.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr unsigned kScrapers = 8;
constexpr auto kScrapeTime = std::chrono::seconds(5);

std::string answer(RawRequest const &request, Metrics const &metrics) {
  http::response<http::string_body> response;
  response.set(http::field::server, "imdsgate");
  response.set(http::field::connection, "close");
  if (request.method != "GET" && request.method != "HEAD") {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET, HEAD");
  } else if (request.target != "/metrics") {
    response.result(http::status::not_found);
  } else {
    response.set(http::field::content_type, std::string(Metrics::kContentType));
    response.body() = metrics.render();
  }
  response.prepare_payload();
  if (request.method == "HEAD") response.body().clear();
  std::ostringstream text;
  text << response;
  return std::move(text).str();
}

asio::awaitable<void> serve_scraper(Connection client, Metrics &metrics, std::shared_ptr<unsigned> open) {
  ++*open;
  Watchdog deadline(client.socket().get_executor(), [&client] { client.reset(); });
  deadline.expires_after(kScrapeTime);
  RequestParser parser;
  auto const read = co_await read_request(client, parser, {8u << 10, 0});
  if (read) {
    std::string const text = answer(parser.raw(), metrics);
    auto const code = co_await client.write(text);
    if (!code) co_await close_lingering(client);
  }
  --*open;
}

}  // namespace

asio::awaitable<void> serve_metrics(Listener &listener, Metrics &metrics, std::function<void()> const &refresh) {
  auto const open = std::make_shared<unsigned>(0u);
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted) co_return;
    if (*open >= kScrapers) continue;  // dropping it closes it
    refresh();
    auto const executor = accepted->socket.get_executor();
    asio::co_spawn(executor, serve_scraper(Connection(std::move(accepted->socket)), metrics, open), asio::detached);
  }
}

}  // namespace imdsgate
