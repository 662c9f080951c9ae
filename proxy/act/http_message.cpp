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

ResponseFraming::ResponseFraming(bool answers_head, AnswerReader *reader) : reader_(reader) {
  skip(answers_head);
  eager(true);
  body_limit(boost::none);
  header_limit(64u << 10);
}

void ResponseFraming::on_response_impl(int status, View, int, Code &) {
  status_ = status;
  if (reader_) std::visit([&](auto &reader) { reader.begin(status); }, *reader_);
}

void ResponseFraming::on_field_impl(http::field, View name, View value, Code &) {
  if (reader_) std::visit([&](auto &reader) { reader.field(name, value); }, *reader_);
}

std::size_t ResponseFraming::on_body_impl(View body, Code &) {
  body_bytes_ += body.size();
  if (reader_) std::visit([&](auto &reader) { reader.body(body); }, *reader_);
  return body.size();
}

std::size_t ResponseFraming::on_chunk_body_impl(std::uint64_t, View body, Code &code) {
  return on_body_impl(body, code);
}

void ResponseFraming::on_finish_impl(Code &) {
  if (reader_) std::visit([](auto &reader) { reader.end(); }, *reader_);
}

}  // namespace imdsgate
