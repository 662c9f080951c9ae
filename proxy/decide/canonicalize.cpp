#include <algorithm>

#include "decide/ascii_case.hpp"
#include "decide/decide.hpp"
#include "decide/path_classes.hpp"
#include "decide/path_pattern.hpp"
#include "decide/readings.hpp"
#include "decide/traps.hpp"

namespace imdsgate {
namespace {

constexpr std::string_view kTokenHeader = "x-aws-ec2-metadata-token";

bool control_byte(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f;
}

bool lists(std::string_view header, std::string_view wanted) {
  while (!header.empty()) {
    auto const end = std::min(header.find(','), header.size());
    auto item = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (!item.empty() && control_byte(item.front())) item.remove_prefix(1);
    while (!item.empty() && control_byte(item.back())) item.remove_suffix(1);
    if (equal_folded(item, wanted)) return true;
  }
  return false;
}

// A token that says nothing, or that Connection lets the next hop drop, may arrive as no token: version 1.
bool has_session_token(RawRequest const &raw) {
  auto const token = raw.field(kTokenHeader);
  return token && !token->empty() && std::ranges::none_of(raw.fields, [](Field const &field) {
           return equal_folded(field.name, "connection") && lists(field.value, kTokenHeader);
         });
}

// An ambiguous target that is longer than any service has is not worth its readings: it gets the highest
// class there is, so that nobody can make the loop work through them.
constexpr std::size_t kLongestRead = 2048;

PathClass highest_class(Policy const &policy, std::string_view method, Target const &target, bool ambiguous) {
  if (ambiguous && target.path.size() + target.query.size() > kLongestRead) return PathClass::credentials;
  auto highest = PathClass::general;
  for (auto const &reading : readings(target)) {
    highest = std::max(highest, policy.catalogue->classify(method, reading));
  }
  return highest;
}
}  // namespace

std::vector<std::string_view> session_tokens(RawRequest const &raw) {
  std::vector<std::string_view> tokens;
  for (auto const &field : raw.fields) {
    if (equal_folded(field.name, kTokenHeader)) tokens.push_back(field.value);
  }
  return tokens;
}

boost::system::result<MetadataRequest, Meaningless> canonicalize(Policy const &policy,
                                                                 RawRequest const &raw) {
  if (auto trap = header_block_trap(raw.header_bytes)) return *std::move(trap);
  if (auto trap = target_trap(policy, raw)) return *std::move(trap);
  if (auto trap = field_trap(raw)) return *std::move(trap);

  auto const target = split_target(raw.target);
  MetadataRequest request;
  request.method = raw.method;
  request.target = raw.target;
  request.path = canonical_path(target.path);
  request.query = decode_query(target.query);
  request.host = std::string(raw.field("host").value_or(""));
  if (auto const agent = raw.field("user-agent")) request.user_agent = *agent;
  request.provider = policy.provider;
  // No agent sends raw control bytes or spaces in a query either, and a request line is parted at spaces.
  request.ambiguous = ambiguous_path(target.path) || std::ranges::any_of(target.query, control_byte);
  request.path_class = highest_class(policy, raw.method, target, request.ambiguous);
  if (policy.provider == Provider::ec2) {
    request.token_request = request.method == "PUT" && request.path == "/latest/api/token";
    request.imds_version =
        request.token_request || has_session_token(raw) ? ImdsVersion::v2 : ImdsVersion::v1;
  }
  return request;
}

}  // namespace imdsgate
