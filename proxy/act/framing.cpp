#include "act/framing.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <charconv>

namespace imdsgate {

using boost::beast::iequals;

namespace {

bool offers_other_protocol(std::string_view name) { return iequals(name, "Upgrade") || iequals(name, "HTTP2-Settings"); }

// Connection without the options that name what was left out; nullopt when nothing else was in it.
std::optional<std::string> connection_value(std::string const &value) {
  std::string kept;
  bool changed = false;
  for (auto const token : boost::beast::http::token_list{value}) {
    std::string_view const option(token.data(), token.size());
    if (offers_other_protocol(option)) {
      changed = true;
    } else {
      kept.append(kept.empty() ? "" : ", ").append(option);
    }
  }
  if (!changed) return value;
  return kept.empty() ? std::nullopt : std::optional(kept);
}

}  // namespace

std::string render_request_header(RawRequest const &request) {
  std::string text;
  text.reserve(request.header_bytes.size() + 16);
  text.append(request.method).append(1, ' ').append(request.target);
  text.append(request.version == 10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  for (auto const &field : request.fields) {
    if (offers_other_protocol(field.name)) continue;
    std::optional<std::string> value = field.value;
    if (iequals(field.name, "Connection")) value = connection_value(field.value);
    if (value) text.append(field.name).append(": ").append(*value).append("\r\n");
  }
  return text.append("\r\n");
}

std::string render_chunk(std::string_view data) {
  char size[16];
  auto const end = std::to_chars(size, size + sizeof size, data.size(), 16).ptr;
  std::string chunk(size, static_cast<std::size_t>(end - size));
  return chunk.append("\r\n").append(data).append("\r\n");
}

}  // namespace imdsgate
