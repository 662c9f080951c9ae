#include "decide/decide.hpp"

#include <algorithm>

#include "decide/policy_entry.hpp"
#include "decide/socket_holder.hpp"

namespace imdsgate {
namespace {

using Suspects = std::vector<SocketHolder>;

// None: nobody could be named. That is so whenever the attribution has any doubt.
Suspects suspects_of(AccessRequest const &access) {
  Suspects suspects;
  if (access.attribution == nullptr || access.unattributed) return suspects;
  for (auto const &holder : access.attribution->holders) suspects.emplace_back(*holder, access);
  return suspects;
}

Finding because(Verdict verdict, Reason reason, std::size_t holder = 0) {
  return {verdict, std::string(name(reason)), nullptr, reason, holder, nullptr};
}

// The denials that may name one of the suspects; without suspects, those that are meant for everyone.
std::vector<std::uint32_t> possible_denials(Policy const &policy, AccessReadings const &asked,
                                            Suspects &suspects) {
  if (policy.deny_index.empty()) return {};
  std::vector<std::string_view> paths;
  for (auto const &reading : asked.readings) paths.push_back(reading.path);
  std::vector<std::string> claimed;
  for (auto &suspect : suspects) {
    auto const *executables = suspect.executables();
    if (executables == nullptr) continue;
    if (executables->unreadable) return policy.deny_index.candidates(paths, std::nullopt);
    claimed.insert(claimed.end(), executables->claimed.begin(), executables->claimed.end());
  }
  return policy.deny_index.candidates(paths, claimed);
}

// The grants that may vouch for a suspect.
std::vector<std::uint32_t> possible_grants(Policy const &policy, AccessReadings const &asked,
                                           SocketHolder &suspect) {
  if (policy.allow_index.empty()) return {};
  auto const *executables = suspect.executables_in_namespace();
  std::vector<std::string> const none;
  return policy.allow_index.candidates(asked.access.request.path, executables ? executables->proven : none);
}

// Every group that may have been the one that the socket was created under.
std::vector<std::uint32_t> groups_of(Attribution const *attribution) {
  std::vector<std::uint32_t> gids;
  if (attribution == nullptr) return gids;
  for (auto const &holder : attribution->holders) {
    gids.insert(gids.end(), {holder->process.real_gid, holder->process.effective_gid});
  }
  return gids;
}

// First, whatever else there is to say: the firewall rule asked nothing but who it is.
void add_owner_denials(Policy const &policy, AccessRequest const &access, Decision &decision) {
  if (policy.owner_denials.empty()) return;
  auto const gids = groups_of(access.attribution);
  for (auto const &denial : policy.owner_denials) {
    auto const &endpoints = denial.endpoints;
    if (std::ranges::find(endpoints, access.request.endpoint) == endpoints.end()) continue;
    if (!denial.refuses({access.socket_uid, gids})) continue;
    Finding finding = because(Verdict::block, Reason::policy_deny);
    finding.name = denial.name();
    decision.findings.push_back(std::move(finding));
    decision.in_every_mode = true;
  }
}

void add_denials(Policy const &policy, AccessReadings const &asked, Suspects &suspects, Decision &decision) {
  for (auto const number : possible_denials(policy, asked, suspects)) {
    auto const &entry = policy.deny[number];
    if (!concerns(entry, asked, EntryKind::deny)) continue;
    auto const accused =
        std::ranges::find_if(suspects, [&](SocketHolder &suspect) { return suspect.is_accused(entry); });
    // Nobody to ask about: only an entry that is meant for everyone applies.
    if (suspects.empty() ? entry.when.has_value() : accused == suspects.end()) continue;
    Finding finding =
        because(Verdict::block, Reason::policy_deny, static_cast<std::size_t>(accused - suspects.begin()));
    finding.name = entry.name;
    decision.findings.push_back(std::move(finding));
  }
}

struct Grant {
  std::optional<std::string> name;  // the first entry that applies
  bool imdsv1 = false;              // any entry that applies says so
  bool foreign_token = false;       // the same
};

// One entry must vouch for every holder: a descriptor is as trustworthy as the worst who has it.
Grant grant_for(Policy const &policy, AccessReadings const &asked, Suspects &suspects) {
  Grant grant;
  if (suspects.empty() || asked.access.request.ambiguous) return grant;
  for (auto const number : possible_grants(policy, asked, suspects.front())) {
    auto const &entry = policy.allow[number];
    if (asked.access.crossed_namespace && !entry.names_container) continue;
    auto const vouched = [&](SocketHolder &suspect) { return suspect.is_vouched_for(entry); };
    if (!concerns(entry, asked, EntryKind::allow) || !std::ranges::all_of(suspects, vouched)) continue;
    if (!grant.name) grant.name = entry.name;
    grant.imdsv1 = grant.imdsv1 || entry.allow_imdsv1;
    grant.foreign_token = grant.foreign_token || entry.allow_foreign_token;
  }
  return grant;
}

void add_rules(Policy const &policy, Suspects &suspects, Decision &decision) {
  for (auto const &rule : policy.rules) {
    auto const match =
        std::ranges::find_if(suspects, [&](SocketHolder &suspect) { return suspect.matches(*rule); });
    if (match == suspects.end()) continue;
    auto const holder = static_cast<std::size_t>(match - suspects.begin());
    decision.findings.push_back({rule->action, rule->id, rule, std::nullopt, holder, nullptr});
  }
}

// A sibling's exec says something of the parent they share; it blocks the requester only if the rule wants
// that.
Verdict verdict_of(Rule const &rule, bool self) {
  return self || rule.block_on == Rule::BlockOn::any ? rule.action : Verdict::alert;
}

// No match, as far as anybody knows. Short-lived siblings are everyday: one that was not read is listed, and
// counts only where the rule wants to block for a sibling.
Finding doubt_about(Rule const &rule, MissingExecs missing) {
  auto const strict = verdict_of(rule, false);
  if (missing == MissingExecs::lost) return because(strict, Reason::exec_events_lost);
  return because(rule.block_on == Rule::BlockOn::any ? strict : Verdict::allow, Reason::exec_unread);
}

// The sequences that this connection and this request completed; of those that may have been, the strictest
// doubt. A rule that a reload took out while the connection was open says nothing any more.
void add_sequences(Policy const &policy, AccessRequest const &access, Suspects const &suspects,
                   Decision &decision) {
  if (suspects.empty()) return;
  auto const of = [](std::shared_ptr<Rule const> const &rule) {
    return [&rule](SequenceMatchPtr const &match) { return match->rule->id == rule->id; };
  };
  std::optional<Finding> doubt;
  for (auto const &rule : policy.rules) {
    if (rule->sequence() == nullptr) continue;
    auto const match = std::ranges::find_if(access.sequences, of(rule));  // the requester's own first
    if (match != access.sequences.end()) {
      auto const &found = **match;
      decision.findings.push_back(
          {verdict_of(*rule, found.self), rule->id, rule, std::nullopt, found.holder, *match});
    } else if (access.missing_execs != MissingExecs::none) {
      auto next = doubt_about(*rule, access.missing_execs);
      if (!doubt || next.verdict > doubt->verdict) doubt = std::move(next);
    }
  }
  if (doubt) decision.findings.push_back(*std::move(doubt));
}

// Who is named for a finding about the request itself: whom a rule points at, else whom no entry vouches for.
std::size_t most_suspect(Policy const &policy, AccessReadings const &asked, Suspects &suspects,
                         Decision const &decision) {
  auto const strictest = std::ranges::max_element(decision.findings, {}, &Finding::verdict);
  if (strictest != decision.findings.end()) return strictest->holder;
  auto const stranger = [&](SocketHolder &suspect) {
    return std::ranges::none_of(possible_grants(policy, asked, suspect), [&](std::uint32_t number) {
      auto const &entry = policy.allow[number];
      return concerns(entry, asked, EntryKind::allow) && suspect.is_vouched_for(entry);
    });
  };
  if (suspects.size() < 2) return 0;
  auto const found = std::ranges::find_if(suspects, stranger);
  return found == suspects.end() ? 0 : static_cast<std::size_t>(found - suspects.begin());
}

void add_unattributed(Policy const &policy, Suspects const &suspects, Decision &decision) {
  if (!suspects.empty() || policy.unattributed == Verdict::allow) return;
  decision.findings.push_back(because(policy.unattributed, Reason::unattributed));
}

// The gateway is where the hop limit would have ended what leaves the host: nothing crosses unasked. Who cannot be named
// may not even be of this host.
void add_crossing(Policy const &policy, MetadataRequest const &request, Grant const &grant, Suspects const &suspects,
                  Decision &decision) {
  if (suspects.empty()) {
    decision.findings.push_back(because(Verdict::block, Reason::unattributed));
    decision.in_every_mode = true;
    return;
  }
  if (!grant.name) decision.findings.push_back(because(Verdict::block, Reason::container_not_granted));
  bool const too_far = request.token_request && !policy.token_crosses;
  if (too_far) decision.findings.push_back(because(Verdict::block, Reason::hop_limit));
}

// A name that was made to resolve to the service: whoever asks may not know what he asks for. No grant says
// that this is meant; `hosts` of an endpoint does.
void add_host(MetadataRequest const &request, std::size_t holder, Decision &decision) {
  if (request.known_host) return;
  auto const verdict = request.path_class > PathClass::general ? Verdict::block : Verdict::alert;
  decision.findings.push_back(because(verdict, Reason::unknown_host, holder));
}

void add_defaults(Policy const &policy, MetadataRequest const &request, Grant const &grant,
                  std::size_t holder, Decision &decision) {
  auto const *service = service_at(policy, request.endpoint);
  if (service == nullptr) {  // read with another policy
    decision.findings.push_back(because(Verdict::block, Reason::not_guarded, holder));
    return;
  }
  bool const unknown = request.path_class == PathClass::general && !request.path_known;
  auto const by_class = unknown ? service->unknown : service->classes[index(request.path_class)];
  if (!grant.name && by_class != Verdict::allow) {
    decision.findings.push_back(
        because(by_class, unknown ? Reason::unknown_path : Reason::class_default, holder));
  }
}

// Neither is silenced by a grant that does not name it, nor by an exception for another program.
void add_imdsv1(Policy const &policy, AccessRequest const &access, Suspects &suspects, std::size_t holder,
                Decision &decision) {
  auto const &exceptions = policy.imdsv1_exceptions;
  auto const excepted = [&](SocketHolder &suspect) { return suspect.runs_one_of(exceptions.except); };
  if (!suspects.empty() && std::ranges::all_of(suspects, excepted)) return;
  bool const ended = exceptions.block_from && access.now >= *exceptions.block_from;
  auto const verdict = ended ? Verdict::block : policy.imdsv1[index(access.request.path_class)];
  // Listed when it is allowed, too, so that who uses version 1 is known before it is forbidden.
  decision.findings.push_back(because(verdict, Reason::imdsv1, holder));
  if (access.denied_token) {
    decision.findings.push_back(
        because(Verdict::block, Reason::imdsv1_after_denied_token, *access.denied_token));
  }
}

void add_token_use(Policy const &policy, AccessRequest const &access, Grant const &grant,
                   Decision &decision) {
  auto answer = judge_tokens(policy.token_binding, access);
  if (!answer) return;
  auto const kind = answer->use.kind;
  auto const strict = *policy.token_binding.verdict;
  if (kind == TokenUse::Kind::foreign && !grant.foreign_token) {
    decision.findings.push_back(because(strict, Reason::token_foreign, answer->holder));
  }
  // Nobody says that it is another's, so it is no block; nor that it is not, so where others' are blocked, or
  // the token may have been known once, it is no silent pass.
  bool const doubted = strict == Verdict::block || access.tokens_forgotten;
  if (kind == TokenUse::Kind::unknown && doubted && !grant.foreign_token) {
    decision.findings.push_back(because(Verdict::alert, Reason::token_unknown, answer->holder));
  }
  decision.token = std::move(answer->use);
}

// Behind all others, so that what is forbidden anyway is not answered with "later".
void add_rates(AccessRequest const &access, std::size_t holder, Decision &decision) {
  if (access.over_share) decision.findings.push_back(because(Verdict::alert, Reason::quota_share, holder));
  if (access.over_rate) {
    decision.findings.push_back(because(Verdict::block, Reason::limit_requests_per_second, holder));
  }
}

void settle(Decision &decision) {
  std::ranges::stable_sort(decision.findings, std::ranges::greater{}, &Finding::verdict);
  if (decision.findings.empty()) return;
  auto const deciding = decision.findings.front().reason;
  if (deciding == Reason::limit_requests_per_second) decision.block_status = info(*deciding).status;
  decision.verdict = decision.findings.front().verdict;
  decision.requester = decision.findings.front().holder;
}
}  // namespace

// An ambiguous target and a denial end the decision: nothing after them can change it. What else applied is
// listed behind them all the same, so that encoding a path never hides a rule's match from whoever reads the
// events.
Decision decide(Policy const &policy, AccessRequest const &access) {
  Decision decision;
  AccessReadings const asked(access);
  auto suspects = suspects_of(access);
  add_owner_denials(policy, access, decision);
  if (access.request.ambiguous) {
    decision.findings.push_back(because(Verdict::block, Reason::ambiguous_target));
    if (!decision.in_every_mode) decision.block_status = info(Reason::ambiguous_target).status;
  }
  add_denials(policy, asked, suspects, decision);
  bool const ended = !decision.findings.empty();
  auto const grant = grant_for(policy, asked, suspects);
  if (!grant.name) {
    add_rules(policy, suspects, decision);
    add_sequences(policy, access, suspects, decision);
  }
  auto const holder = most_suspect(policy, asked, suspects, decision);
  if (access.crossed_namespace) {
    add_crossing(policy, access.request, grant, suspects, decision);
  } else {
    add_unattributed(policy, suspects, decision);
  }
  add_host(access.request, holder, decision);
  add_defaults(policy, access.request, grant, holder, decision);
  if (access.request.imds_version == ImdsVersion::v1 && !grant.imdsv1) {
    add_imdsv1(policy, access, suspects, holder, decision);
  }
  add_token_use(policy, access, grant, decision);
  add_rates(access, holder, decision);
  if (grant.name && !ended) {
    decision.grant = grant.name;
    decision.findings.push_back({Verdict::allow, *grant.name, nullptr, std::nullopt, 0, nullptr});
  }
  settle(decision);
  return decision;
}

Action enforce(Decision const &decision, Mode mode) {
  switch (mode) {
    case Mode::audit: return decision.in_every_mode ? Action::block : Action::forward;
    case Mode::enforce: return decision.verdict == Verdict::block ? Action::block : Action::forward;
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
