// The request as it goes upstream, written from what was parsed. Pure.
#pragma once

#include <string>

#include "model/request.hpp"

namespace imdsgate {

// Request line and fields in the client's order and spelling; nothing is added. Left out: an offer to switch protocols
// (Upgrade, HTTP2-Settings, and their names in Connection; RFC 9110 §7.8), because what would follow could not be decided on.
std::string render_request_header(RawRequest const &request);

std::string render_chunk(std::string_view data);  // RFC 9112 §7.1; never empty data, which would end the body
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace imdsgate
