#include "act/credential_reader.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/url/grammar/ci_string.hpp>
#include <charconv>
#include <cstdio>

namespace imdsgate {
namespace {

using Name = CredentialMembers::Name;
using Text = std::optional<std::string>;

constexpr std::pair<std::string_view, Name> kMembers[] = {
    {"AccessKeyId", Name::access_key_id}, {"RoleArn", Name::role_arn},     {"client_id", Name::client_id},
    {"resource", Name::resource},         {"Type", Name::type},            {"token_type", Name::token_type},
    {"Expiration", Name::expiration},     {"expires_in", Name::expires_in}, {"expires_on", Name::expires_on},
};

// What is not made as these names are is not kept: a secret in the wrong place is none of ours.
Text if_made_of(Text const &text, std::string_view more, std::size_t longest) {
  auto const good = [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || more.find(c) != more.npos;
  };
  if (!text || text->empty() || text->size() > longest || !std::ranges::all_of(*text, good)) return std::nullopt;
  return text;
}

std::optional<std::int64_t> seconds_of(Text const &text) {
  std::int64_t seconds = 0;
  if (!text) return std::nullopt;
  auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  bool const good = error == std::errc() && seconds >= 0 && seconds < (std::int64_t{1} << 37);  // year 6325
  return good && end == text->data() + text->size() ? std::optional(seconds) : std::nullopt;
}

std::string rfc3339(std::int64_t since_epoch) {
  using namespace std::chrono;
  sys_seconds const time{seconds(since_epoch)};
  auto const day = floor<days>(time);
  year_month_day const date{day};
  hh_mm_ss const clock{time - day};
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

Text expiration_of(CredentialMembers const &found, std::chrono::system_clock::time_point at) {
  if (auto const written = if_made_of(found.get(Name::expiration), ":.+-", 40)) return written;
  if (auto const on = seconds_of(found.get(Name::expires_on))) return rfc3339(*on);
  auto const in = seconds_of(found.get(Name::expires_in));
  return in ? Text(rfc3339(std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count() + *in)) : std::nullopt;
}

// /computeMetadata/v1/instance/service-accounts/ACCOUNT/token
Text service_account_of(MetadataRequest const &request) {
  constexpr std::string_view above = "/service-accounts/";
  auto const at = request.path.find(above);
  if (request.provider != Provider::gce || at == request.path.npos) return std::nullopt;
  auto const rest = std::string_view(request.path).substr(at + above.size());
  return if_made_of(std::string(rest.substr(0, rest.find('/'))), "@._-:", 256);
}
}  // namespace

bool is_packed(std::string_view name, std::string_view value) {
  using boost::urls::grammar::ci_is_equal;
  return ci_is_equal(name, "Content-Encoding") && !ci_is_equal(value, "identity");
}

bool CredentialMembers::open() {
  ++depth_;
  return forget();
}

bool CredentialMembers::close() {
  --depth_;
  return forget();
}

bool CredentialMembers::forget() {
  member_ = nullptr;
  return true;
}

bool CredentialMembers::on_key_part(View part, std::size_t, Code &) {
  if (depth_ == 1 && key_.size() <= kLongest) key_.append(part.data(), part.size());
  return true;
}

bool CredentialMembers::on_key(View part, std::size_t total, Code &code) {
  on_key_part(part, total, code);
  auto const known = std::ranges::find(kMembers, key_, &std::pair<std::string_view, Name>::first);
  bool const ours = depth_ == 1 && known != std::end(kMembers);
  member_ = ours ? &values_[static_cast<std::size_t>(known->second)] : nullptr;
  if (member_ != nullptr) member_->emplace();
  key_.clear();
  return true;
}

bool CredentialMembers::add(std::string_view part) {
  if (member_ == nullptr) return true;
  if ((*member_)->size() + part.size() > kLongest) {
    member_->reset();
    return forget();
  }
  (*member_)->append(part);
  return true;
}

bool CredentialMembers::on_string(View part, std::size_t, Code &) {
  add({part.data(), part.size()});
  return forget();
}

void CredentialReader::begin(int status) {
  wanted_ = status == 200;
  readable_ = true;
  complete_ = false;
  read_ = 0;
  unread_.clear();
  if (wanted_) parser_.emplace(boost::json::parse_options{});
}

void CredentialReader::field(std::string_view name, std::string_view value) {
  if (is_packed(name, value)) readable_ = false;
}

void CredentialReader::sent() {
  for (auto const bytes : unread_) parse(bytes, true);
  unread_.clear();
}

void CredentialReader::parse(std::string_view bytes, bool more) {
  read_ += bytes.size();
  readable_ = readable_ && read_ <= kLongest;
  if (!readable_) return;
  if (parser_->done()) {  // it ends with the last brace; white space may follow in a piece of its own
    readable_ = bytes.find_first_not_of(" \t\r\n") == bytes.npos;
    return;
  }
  boost::system::error_code code;
  auto const used = parser_->write_some(more, bytes.data(), bytes.size(), code);
  readable_ = !code && used == bytes.size();
}

std::shared_ptr<Credential const> CredentialReader::credential(MetadataRequest const &request,
                                                               std::chrono::system_clock::time_point at) {
  if (!wanted_) return nullptr;
  if (complete_) parse({}, false);
  auto const &found = parser_->handler();
  Credential credential;
  credential.access_key_id = if_made_of(found.get(Name::access_key_id), "", 128);
  credential.role_arn = if_made_of(found.get(Name::role_arn), ":/+=,.@_-", 256);
  credential.client_id = if_made_of(found.get(Name::client_id), "-", 64);
  credential.resource = if_made_of(found.get(Name::resource), ":/._-~", 256);
  credential.type = if_made_of(found.get(found.get(Name::type) ? Name::type : Name::token_type), "-_", 32);
  credential.expiration = expiration_of(found, at);
  credential.unreadable = !readable_ || !complete_ || !parser_->done();
  bool const known = credential.access_key_id || credential.client_id || credential.type || credential.expiration;
  if (!known && !credential.unreadable) return nullptr;
  credential.service_account = service_account_of(request);
  return std::make_shared<Credential const>(std::move(credential));
}

}  // namespace imdsgate
