// What an answer tells of while it passes: the forwarding calls this as it follows the framing, and the bytes go on
// whatever is made of them here. Pure. Only answers of which something is to be learned have a reader.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "act/credential_reader.hpp"

namespace imdsgate {

// The session token in EC2's answer to PUT /latest/api/token. Told before the client has it, so that nobody can
// use it sooner than it is known.
class TokenReader {
 public:
  using Learn = std::function<void(std::string_view token, std::chrono::seconds ttl)>;
  explicit TokenReader(Learn learn) : learn_(std::move(learn)) {}

  void begin(int status);  // of each response: an interim one may come first, or one be asked for again
  void field(std::string_view name, std::string_view value);
  void body(std::string_view bytes);
  void sent() {}  // what there was of the body has gone on
  void end();     // the answer is complete

 private:
  static constexpr std::size_t kLongest = 1024;
  Learn learn_;
  bool wanted_ = false;
  std::optional<std::chrono::seconds> ttl_;
  std::string token_;
};

using AnswerReader = std::variant<TokenReader, CredentialReader>;

}  // namespace imdsgate
