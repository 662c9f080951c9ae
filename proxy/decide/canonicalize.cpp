#include <algorithm>
#include <span>

#include "decide/ascii_case.hpp"
#include "decide/decide.hpp"
#include "decide/guarded_host.hpp"
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

// A token that says nothing, that there is another of, or that Connection lets the next hop drop, may arrive
// as no token: version 1.
bool has_session_token(RawRequest const &raw) {
  auto const tokens = session_tokens(raw);
  return tokens.size() == 1 && !tokens.front().empty() &&
         std::ranges::none_of(raw.fields, [](Field const &field) {
           return equal_folded(field.name, "connection") && lists(field.value, kTokenHeader);
         });
}

// What some servers and frameworks take for the target or the method in place of the request line's.
bool names_another_request(RawRequest const &raw) {
  static constexpr std::string_view kNames[] = {"x-original-url", "x-rewrite-url", "x-http-method-override",
                                                "x-http-method", "x-method-override"};
  return std::ranges::any_of(raw.fields, [](Field const &field) {
    return std::ranges::any_of(kNames, [&](std::string_view name) { return equal_folded(field.name, name); });
  });
}

// The highest class of all readings, and the highest there is where they are too many. What the plain one is
// known as counts where it is the only one.
PathCatalogue::Classified classified(PathCatalogue const &catalogue, std::string_view method,
                                     Target const &target, bool ambiguous) {
  PathCatalogue::Classified said;
  if (ambiguous && size(target) > kLongestRead) {
    said.path_class = PathClass::credentials;
    return said;
  }
  auto const all = readings(target);
  said = catalogue.classify(method, all.front());
  said.known = said.known && !ambiguous;
  for (auto const &reading : std::span(all).subspan(1)) {
    auto const other = catalogue.classify(method, reading);
    said.path_class = std::max(said.path_class, other.path_class);
    if (!said.recursive) said.recursive = other.recursive;
  }
  return said;
}
}  // namespace

std::vector<std::string_view> session_tokens(RawRequest const &raw) {
  std::vector<std::string_view> tokens;
  for (auto const &field : raw.fields) {
    if (equal_folded(field.name, kTokenHeader)) tokens.push_back(field.value);
  }
  return tokens;
}

boost::system::result<MetadataRequest, Meaningless> canonicalize(Policy const &policy, RawRequest const &raw,
                                                                 std::optional<Endpoint> const &dialled) {
  if (auto trap = header_block_trap(raw.header_bytes)) return *std::move(trap);
  if (auto trap = target_trap(policy, raw)) return *std::move(trap);
  if (auto trap = field_trap(raw)) return *std::move(trap);

  auto const target = split_target(raw.target);
  auto const *found = dialled ? service_at(policy, *dialled) : &policy.services.front();
  if (found == nullptr) return Meaningless{Reason::not_guarded, dialled->to_string() + " is not guarded"};
  auto const &service = *found;
  auto const host = raw.field("host");
  MetadataRequest request;
  request.method = raw.method;
  request.target = raw.target;
  request.path = canonical_path(target.path);
  request.query = decode_query(target.query);
  request.host = std::string(host.value_or(""));
  request.known_host = !dialled || !host || known_host(policy, service, *host);  // none: HTTP/1.0
  request.endpoint = service.endpoint;
  if (auto const agent = raw.field("user-agent")) request.user_agent = *agent;
  request.provider = service.provider;
  // No agent sends raw control bytes or spaces in a query either, and a request line is parted at spaces.
  request.ambiguous = ambiguous_path(target.path) || std::ranges::any_of(target.query, control_byte) ||
                      names_another_request(raw);
  auto said = classified(*service.catalogue, raw.method, target, request.ambiguous);
  request.path_class = said.path_class;
  request.path_known = said.known;
  request.recursive = std::move(said.recursive);
  request.api_version = std::move(said.version);
  if (service.provider == Provider::ec2) {
    request.token_request = request.method == "PUT" && request.path == "/latest/api/token";
    request.imds_version =
        request.token_request || has_session_token(raw) ? ImdsVersion::v2 : ImdsVersion::v1;
  }
  return request;
}

}  // namespace imdsgate
