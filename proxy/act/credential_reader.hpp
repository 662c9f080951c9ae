// The ledger's eye: reads the answer to a request for credentials while it passes, after the bytes have gone on. Only
// what names a credential is kept (Credential); what opens something is skipped where it stands. Pure.
#pragma once

#include <boost/json/basic_parser.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/credential.hpp"
#include "model/request.hpp"

namespace imdsgate {

// A field that says that a body is not written as it reads: a Content-Encoding, but for `identity`.
bool is_packed(std::string_view name, std::string_view value);

// The members of a JSON document's outermost object that name a credential. Boost.JSON's handler: its functions
// are called by the parser, in the document's order.
class CredentialMembers {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1), max_array_size = std::size_t(-1),
                               max_string_size = std::size_t(-1), max_key_size = std::size_t(-1);
  enum class Name { access_key_id, role_arn, client_id, resource, type, token_type, expiration, expires_in, expires_on };
  static constexpr std::size_t kNames = 9;
  std::optional<std::string> const &get(Name name) const { return values_[static_cast<std::size_t>(name)]; }

 private:
  using Code = boost::system::error_code;
  using View = boost::json::string_view;
  friend class boost::json::basic_parser<CredentialMembers>;
  bool on_document_begin(Code &) { return true; }
  bool on_document_end(Code &) { return true; }
  bool on_object_begin(Code &) { return open(); }
  bool on_object_end(std::size_t, Code &) { return close(); }
  bool on_array_begin(Code &) { return open(); }
  bool on_array_end(std::size_t, Code &) { return close(); }
  bool on_key_part(View part, std::size_t, Code &);
  bool on_key(View part, std::size_t, Code &);
  bool on_string_part(View part, std::size_t, Code &) { return add(part); }
  bool on_string(View part, std::size_t, Code &);
  bool on_number_part(View part, Code &) { return add(part); }
  bool on_int64(std::int64_t, View part, Code &code) { return on_string(part, 0, code); }
  bool on_uint64(std::uint64_t, View part, Code &code) { return on_string(part, 0, code); }
  bool on_double(double, View part, Code &code) { return on_string(part, 0, code); }
  bool on_bool(bool, Code &) { return forget(); }
  bool on_null(Code &) { return forget(); }
  bool on_comment_part(View, Code &) { return true; }
  bool on_comment(View, Code &) { return true; }
  bool open();
  bool close();
  bool add(std::string_view part);
  bool forget();

  static constexpr std::size_t kLongest = 512;
  int depth_ = 0;
  std::string key_;
  std::optional<std::string> *member_ = nullptr;  // whose value comes next
  std::optional<std::string> values_[kNames];
};

class CredentialReader {
 public:
  void begin(int status);
  void field(std::string_view name, std::string_view value);
  void body(std::string_view bytes) { if (wanted_) unread_.push_back(bytes); }  // which stay until sent()
  void sent();
  void end() { complete_ = true; }

  // What passed, when there was something; `at` is when it was asked for.
  std::shared_ptr<Credential const> credential(MetadataRequest const &request, std::chrono::system_clock::time_point at);

 private:
  static constexpr std::size_t kLongest = 64u << 10;  // of a body; no credential comes near it
  using Parser = boost::json::basic_parser<CredentialMembers>;
  void parse(std::string_view bytes, bool more);

  bool wanted_ = false;
  bool readable_ = true;
  bool complete_ = false;
  std::size_t read_ = 0;
  std::vector<std::string_view> unread_;
  std::optional<Parser> parser_;
};

}  // namespace imdsgate
