// What earlier requests say about the next one: who was denied a session token, whose tokens are whose, how often each
// process asks. One for all sessions; used on the loop only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "act/answer_reader.hpp"
#include "decide/denied_tokens.hpp"
#include "decide/policy.hpp"
#include "decide/request_rates.hpp"
#include "gateway/token_table.hpp"
#include "model/event.hpp"

namespace imdsgate {

class ClientHistory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Fills in what `access` asks of the past; `tokens` is what it borrows, and outlives it.
  void look(Policy const &policy, RequestEvent const &event, std::optional<unsigned> per_second, Time now,
            AccessRequest &access, std::vector<TokenMinters> &tokens);

  // It goes upstream; and later, or instead: it was answered.
  void forwarded(RequestEvent const &event, Time now);
  void answered(RequestEvent const &event, Time now);

  // Of the answer that gives out a session token, the token: whose it is counts when it is used. Of one that gives out
  // credentials, which they are. Of all others nothing: nullptr. `event` outlives the reader.
  std::unique_ptr<AnswerReader> reader_for(Policy const &policy, RequestEvent const &event);

  DeniedTokens const &denied_tokens() const { return denied_tokens_; }
  TokenTable const &tokens() const { return tokens_; }
  RequestRates const &rates() const { return rates_; }

 private:
  DeniedTokens denied_tokens_;
  TokenTable tokens_;
  RequestRates rates_;
};

}  // namespace imdsgate
