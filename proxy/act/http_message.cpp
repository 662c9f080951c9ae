#include "act/http_message.hpp"

namespace imdsgate {

void RequestParser::on_request_impl(http::verb, View method, View target, int version, Code &code) {
  code = {};
  raw_.method.assign(method.data(), method.size());
  raw_.target.assign(target.data(), target.size());
  raw_.version = version;
}

void RequestParser::on_field_impl(http::field, View name, View value, Code &code) {
  code = {};
  raw_.fields.push_back({std::string(name.data(), name.size()), std::string(value.data(), value.size())});
}

std::size_t RequestParser::on_body_impl(View body, Code &) {
  body_.append(body.data(), body.size());
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, View body, Code &) {
  body_.append(body.data(), body.size());
  return body.size();
}

ResponseFraming::ResponseFraming(bool answers_head) {
  skip(answers_head);
  eager(true);
  body_limit(boost::none);
  header_limit(64u << 10);
}

std::size_t ResponseFraming::on_body_impl(View body, Code &) {
  body_bytes_ += body.size();
  return body.size();
}

std::size_t ResponseFraming::on_chunk_body_impl(std::uint64_t, View body, Code &) {
  body_bytes_ += body.size();
  return body.size();
}

}  // namespace imdsgate
