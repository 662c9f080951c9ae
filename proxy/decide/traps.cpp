#include "decide/traps.hpp"

#include <algorithm>

#include "decide/ascii_case.hpp"
#include "decide/guarded_host.hpp"

namespace imdsgate {
namespace {

Meaningless trap(Reason reason, std::string detail) {
  return {reason, std::move(detail)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_alpha(char c) {
  return fold_case(c) >= 'a' && fold_case(c) <= 'z';
}

// A value may hold tabs and bytes above 0x7f, no other control bytes.
bool is_field_value(std::string_view value) {
  return std::ranges::none_of(value, [](char c) {
    auto const byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

// host[:port] in any of the forms agents send, the trailing dot and IPv6 brackets too; empty is allowed by
// RFC 9112 §3.2. A list, white space, a path or userinfo is nothing one Host can mean.
bool is_host(std::string_view value) {
  return std::ranges::none_of(value, [](char c) {
    auto const byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || std::string_view(",/\\@?#\"<>").find(c) != std::string_view::npos;
  });
}

std::vector<std::string_view> values_of(RawRequest const &raw, std::string_view name) {
  std::vector<std::string_view> values;
  for (auto const &field : raw.fields) {
    if (equal_folded(field.name, name)) values.push_back(field.value);
  }
  return values;
}

std::optional<Meaningless> host_trap(RawRequest const &raw) {
  auto const hosts = values_of(raw, "host");
  if (hosts.size() > 1) return trap(Reason::duplicate_host, std::to_string(hosts.size()) + " Host headers");
  if (hosts.empty() && raw.version >= 11) return trap(Reason::duplicate_host, "no Host header on HTTP/1.1");
  if (!hosts.empty() && !is_host(hosts.front())) {
    return trap(Reason::malformed_request, "the Host header is not one host");
  }
  return std::nullopt;
}

std::optional<Meaningless> length_trap(RawRequest const &raw) {
  auto const lengths = values_of(raw, "content-length");
  auto const codings = values_of(raw, "transfer-encoding");
  if (!lengths.empty() && !codings.empty()) {
    return trap(Reason::transfer_encoding_with_length, "Transfer-Encoding and Content-Length");
  }
  if (lengths.size() > 1) {
    return trap(Reason::duplicate_content_length, std::to_string(lengths.size()) + " Content-Length headers");
  }
  // 18 digits are below 2^63, for every parser.
  if (!lengths.empty() && (lengths.front().empty() || lengths.front().size() > 18 ||
                           !std::ranges::all_of(lengths.front(), is_digit))) {
    return trap(Reason::content_length_list, "Content-Length is not one decimal number");
  }
  if (!codings.empty() && raw.version < 11) {
    return trap(Reason::chunked_http10, "Transfer-Encoding on HTTP/1.0");
  }
  if (codings.size() > 1 || (codings.size() == 1 && !equal_folded(codings.front(), "chunked"))) {
    return trap(Reason::unsupported_transfer_encoding, "Transfer-Encoding is not exactly chunked");
  }
  return std::nullopt;
}

bool is_absolute(std::string_view target) {
  auto const colon = target.find("://");
  return colon != std::string_view::npos && colon > 0 && is_alpha(target.front()) &&
         std::ranges::all_of(target.substr(0, colon), [](char c) {
           return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
         });
}
}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alpha(c) || is_digit(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::optional<Meaningless> header_block_trap(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char const c = bytes[i];
    auto const at = " at byte " + std::to_string(i) + " of the header";
    if (c == '\0') return trap(Reason::nul_byte, "NUL" + at);
    if (c == '\r' && (i + 1 == bytes.size() || bytes[i + 1] != '\n')) {
      return trap(Reason::bare_line_ending, "CR without LF" + at);
    }
    if (c != '\n') continue;
    if (i == 0 || bytes[i - 1] != '\r') return trap(Reason::bare_line_ending, "LF without CR" + at);
    if (i + 1 < bytes.size() && (bytes[i + 1] == ' ' || bytes[i + 1] == '\t')) {
      return trap(Reason::obsolete_folding, "a line starts with white space" + at);
    }
  }
  return std::nullopt;
}

std::optional<Meaningless> field_trap(RawRequest const &raw) {
  if (raw.version != 10 && raw.version != 11)
    return trap(Reason::malformed_request, "not HTTP/1.0 or HTTP/1.1");
  for (auto const &field : raw.fields) {
    if (field.value.find('\0') != std::string::npos) return trap(Reason::nul_byte, "NUL in a header value");
    if (!is_token(field.name)) return trap(Reason::malformed_request, "a header name is not a token");
    if (!is_field_value(field.value)) {
      return trap(Reason::malformed_request, "a control byte in the value of " + field.name);
    }
  }
  if (auto found = host_trap(raw)) return found;
  return length_trap(raw);
}

std::optional<Meaningless> target_trap(Policy const &policy, RawRequest const &raw) {
  std::string_view const target = raw.target;
  if (!is_token(raw.method)) return trap(Reason::malformed_request, "the method is not a token");
  if (equal_folded(raw.method, "TRACE")) return trap(Reason::method_trace, "TRACE");
  if (equal_folded(raw.method, "CONNECT")) return trap(Reason::authority_target, "CONNECT");
  if (target.find('\0') != std::string_view::npos) return trap(Reason::nul_byte, "NUL in the target");
  if (target.find_first_of("\r\n") != std::string_view::npos) {
    return trap(Reason::bare_line_ending, "a line ending in the target");
  }
  if (is_absolute(target)) return trap(Reason::absolute_target, "an absolute target");
  if (!target.starts_with('/')) return trap(Reason::target_form, "the target does not start with a slash");
  if (target.find('#') != std::string_view::npos)
    return trap(Reason::target_form, "a fragment in the target");
  if (names_guarded_host(policy, target)) {
    return trap(Reason::guarded_host_target, "two slashes and a guarded host");
  }
  return std::nullopt;
}

}  // namespace imdsgate
