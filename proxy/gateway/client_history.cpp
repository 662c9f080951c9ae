#include "gateway/client_history.hpp"

#include "decide/decide.hpp"

namespace imdsgate {
namespace {

// Whose quota a request takes; nobody's is one.
std::string_view entity_of(RequestEvent const &event) {
  if (!event.attribution || event.attribution->holders.empty()) return {};
  return event.attribution->holders.front()->process.entity_id;
}

// What is kept for hours of whom a token was given to: who he is, and not the kilobytes of what he was told.
Process without_arguments(Process process) {
  process.args.clear();
  process.args_truncated = true;
  process.working_directory.reset();
  if (process.at_exec) process.at_exec = std::make_shared<Process const>(without_arguments(*process.at_exec));
  return process;
}

TokenMinters minters_of(Attribution const &who) {
  std::vector<LineagePtr> minters;
  for (auto const &holder : who.holders) {
    minters.push_back(std::make_shared<Lineage const>(Lineage{without_arguments(holder->process), {}, {}}));
  }
  return std::make_shared<std::vector<LineagePtr> const>(std::move(minters));
}

}  // namespace

void ClientHistory::look(Policy const &policy, RequestEvent const &event, std::optional<unsigned> per_second, Time now,
                         AccessRequest &access, std::vector<TokenMinters> &tokens) {
  auto const version = event.request->imds_version;
  if (version == ImdsVersion::v1 && event.attribution && !denied_tokens_.empty()) {
    access.denied_token = denied_tokens_.find(*event.attribution, now);
  }
  if (version == ImdsVersion::v2 && policy.token_binding.verdict) {
    for (auto const token : session_tokens(*event.raw)) tokens.push_back(tokens_.find(token, now));
    access.tokens = tokens;
    access.tokens_forgotten = tokens_.forgot_a_good_one(now);
  }
  auto const rate = rates_.look(entity_of(event), RequestRates::share(policy.provider), per_second, now);
  access.over_share = rate.over_share;
  access.over_rate = rate.over_rate;
}

void ClientHistory::forwarded(RequestEvent const &event, Time now) { rates_.count(entity_of(event), now); }

// What a denied client asks without a token next is denied with it.
void ClientHistory::answered(RequestEvent const &event, Time now) {
  if (!event.request->token_request || !event.attribution) return;
  bool const denied = event.action == Action::block && event.status == 403;  // 429 sends nobody to version 1
  if (denied) denied_tokens_.deny(*event.attribution, now);
  if (event.action == Action::forward && event.status == 200) denied_tokens_.forget(*event.attribution);
}

std::unique_ptr<AnswerReader> ClientHistory::reader_for(Policy const &policy, RequestEvent const &event) {
  if (event.request->path_class == PathClass::credentials && event.request->method != "HEAD") {
    return std::make_unique<AnswerReader>(std::in_place_type<CredentialReader>);
  }
  if (!event.request->token_request || !policy.token_binding.verdict) return nullptr;
  if (!event.attribution || event.attribution->holders.empty()) return nullptr;
  return std::make_unique<AnswerReader>(TokenReader([this, &event](std::string_view token, std::chrono::seconds ttl) {
    tokens_.learn(token, minters_of(*event.attribution), ttl, std::chrono::steady_clock::now());
  }));
}

}  // namespace imdsgate
