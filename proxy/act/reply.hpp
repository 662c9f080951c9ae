// The answers the gateway gives itself (design §7): complete HTTP/1.1 messages, ready to be written. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "model/request.hpp"

namespace imdsgate {

struct LocalReply {
  Provider provider = Provider::ec2;
  int status = 403;         // 400, 403, 408, 413, 417, 429, 431, 502, 503 or 504
  std::string_view reason;  // the deciding finding's name: a rule's id, a policy entry's or a reason's name
  std::string_view alert;   // event.id of the alert; empty when there is none
  bool head = false;  // the request's method was HEAD: the header alone, Content-Length as if it were GET
  std::chrono::system_clock::time_point date{};
};

// JSON body {"error", "reason", "alert"}, Connection: close, Server: imdsgate, Date (RFC 9110 §6.6.1), no
// caching; on GCE also Metadata-Flavor: Google, without which clients conclude that they are not on GCE. 429
// and 503 say when to retry.
std::string to_http(LocalReply const &reply);

}  // namespace imdsgate
