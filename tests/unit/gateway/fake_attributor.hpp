// Names whom the test says, and counts how often it was asked.
#pragma once

#include <deque>

#include "attribute/attributor.hpp"
#include "unit/decide/people.hpp"

namespace imdsgate::test {

class FakeAttributor : public Attributor {
 public:
  // The answers in their order; the last one again and again.
  explicit FakeAttributor(std::deque<AttributionResult> answers) : answers_(std::move(answers)) {}

  boost::asio::awaitable<AttributionResult> attribute(Flow, std::uint64_t) override {
    ++asked;
    AttributionResult answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    co_return answer;
  }

  int asked = 0;

 private:
  std::deque<AttributionResult> answers_;
};

inline AttributionResult named(std::string const &who, std::uint64_t cookie = 1) {
  Attribution attribution;
  attribution.method = Attribution::Method::peercred;
  attribution.socket_inode = attribution.socket_cookie = cookie;
  attribution.socket_uid = 1000;
  attribution.holders = {person(who)};
  attribution.holder_pids = {attribution.holders.front()->process.id.tgid};
  return attribution;
}

inline AttributionResult unnamed(Reason reason) {
  return Unattributed{reason, "as the test wants it"};
}

}  // namespace imdsgate::test
