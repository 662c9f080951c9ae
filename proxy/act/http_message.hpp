// Beast's parser as this proxy needs it: a request that keeps its header's order and spelling, and a response whose
// framing is followed while its bytes pass through untouched. Included by act/*.cpp and the session's reader only.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string>

#include "act/answer_reader.hpp"
#include "model/request.hpp"

namespace imdsgate {

namespace http = boost::beast::http;

// Collects a request: header into raw(), decoded body bytes into body() until the caller takes them.
class RequestParser : public http::basic_parser<true> {
 public:
  RawRequest &raw() { return raw_; }
  std::string &body() { return body_; }  // decoded bytes of the last put(); the caller clears it

 private:
  using Code = boost::system::error_code;
  using View = boost::beast::string_view;
  void on_request_impl(http::verb, View method, View target, int version, Code &code) override;
  void on_response_impl(int, View, int, Code &) override {}
  void on_field_impl(http::field, View name, View value, Code &code) override;
  void on_header_impl(Code &) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const &, Code &) override {}
  std::size_t on_body_impl(View body, Code &) override;
  void on_chunk_header_impl(std::uint64_t, View, Code &) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, Code &) override;
  void on_finish_impl(Code &) override {}

  RawRequest raw_;
  std::string body_;
};

// Says where a response ends; keeps only its status and how many body bytes (decoded) went by. A reader, which may be
// null, is told what the answer holds.
class ResponseFraming : public http::basic_parser<false> {
 public:
  ResponseFraming(bool answers_head, AnswerReader *reader);
  int status() const { return status_; }
  std::uint64_t body_bytes() const { return body_bytes_; }

 private:
  using Code = boost::system::error_code;
  using View = boost::beast::string_view;
  void on_request_impl(http::verb, View, View, int, Code &) override {}
  void on_response_impl(int status, View, int, Code &) override;
  void on_field_impl(http::field, View name, View value, Code &) override;
  void on_header_impl(Code &) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const &, Code &) override {}
  std::size_t on_body_impl(View body, Code &) override;
  void on_chunk_header_impl(std::uint64_t, View, Code &) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, Code &) override;
  void on_finish_impl(Code &) override;

  AnswerReader *reader_;
  int status_ = 0;
  std::uint64_t body_bytes_ = 0;
};

}  // namespace imdsgate
