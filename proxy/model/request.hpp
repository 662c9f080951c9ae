// What is asked for: as it came (RawRequest), and the one meaning it has (MetadataRequest).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/address.hpp"

namespace imdsgate {

struct Field {
  std::string name;   // as it came
  std::string value;  // optional white space around it removed
};

// A request header parsed by Beast, in the client's order and spelling. `header_bytes` is the raw header
// block, kept because Beast hides some traps (it unfolds obs-fold silently).
struct RawRequest {
  std::string method;
  std::string target;
  int version = 11;  // 10 or 11
  std::vector<Field> fields;
  std::string header_bytes;

  std::optional<std::string_view> field(
      std::string_view name) const;  // the first of that name, ASCII case-insensitive
};

// Whose service: those a host's cloud can be, and those that only an endpoint can be of.
enum class Provider { ec2, gce, azure, ecs, wireserver, oracle, openstack };
enum class PathClass { general, trust, writable, userdata, identity, credentials };  // rising sensitivity
enum class ImdsVersion { v1, v2 };

std::string_view to_string(Provider);
std::string_view cloud_provider(Provider);  // ECS cloud.provider
std::string_view to_string(PathClass);
std::string_view to_string(ImdsVersion);

// The meaning of a request. Built by decide/canonicalize only.
struct MetadataRequest {
  std::string method;
  std::string target;  // as it came, and as it is sent
  std::string path;    // canonical: one slash between segments, no trailing slash, not decoded further
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order, repeated keys kept
  std::string host;
  bool known_host = true;  // `host` is an address or a name of the endpoint's service
  Endpoint endpoint;       // which one was dialled
  Provider provider = Provider::ec2;
  PathClass path_class = PathClass::general;
  bool path_known = true;  // an entry of the catalogue is about it
  std::optional<std::string>
      recursive;  // the parameter that asks for all beneath the path; nullopt: it does not
  std::optional<std::string> api_version;   // as it stands in the path or, on Azure, in the query
  std::optional<ImdsVersion> imds_version;  // EC2 only: v2 with a session token or on the token PUT
  bool ambiguous = false;  // percent-encoding, dot segments, `;`, backslash, control or non-ASCII bytes in
                           // the path; a header that names another target or method
  bool token_request = false;             // EC2: PUT /latest/api/token
  std::optional<std::string> user_agent;  // as the client says; proves nothing
};

}  // namespace imdsgate
