// What is known of a credential that was handed out, so that a key in a cloud's audit trail leads to the
// process that took it. Nothing in here opens anything.
#pragma once

#include <optional>
#include <string>

namespace imdsgate {

struct Credential {
  std::optional<std::string> access_key_id;    // EC2, ECS, EKS
  std::optional<std::string> role_arn;         // ECS
  std::optional<std::string> service_account;  // GCE: as the path names it, so it may be "default"
  std::optional<std::string> client_id;        // Azure
  std::optional<std::string> resource;         // Azure
  std::optional<std::string> type;             // "AWS-HMAC", "Bearer"
  std::optional<std::string> expiration;       // RFC 3339
  bool unreadable = false;                     // the answer, or its end, was not understood
};

}  // namespace imdsgate
