#include "decide/live_rules.hpp"

#include <algorithm>

#include "decide/event_of.hpp"

namespace imdsgate {

namespace {

constexpr std::size_t kMostWaiting =
    65536;  // execs behind connections without a name: then order yields to memory
constexpr std::size_t kMostSeen = 8192;
constexpr std::size_t kMostPresented = 512;
constexpr auto kLongestReach = std::chrono::hours(1);

using Clock = LiveRules::Clock;

std::int64_t milliseconds(Clock::time_point at) {
  return std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

bool over_tcp(Attribution const &who) {
  return who.method != Attribution::Method::peercred;
}

// A parent that cannot be read is nobody's join key; here the two events are of one process, and so have one
// parent.
eql::Event presented_event(Lineage const &who, Circumstances const &circumstances, Presented as) {
  auto event = event_of(who, circumstances, as);
  if (!who.parent) event.set("process.parent.entity_id", "the parent of " + who.process.entity_id);
  return event;
}

}  // namespace

void LiveRules::use(std::vector<std::shared_ptr<Rule const>> const &rules, std::span<Exec const> recent) {
  rules_.clear();
  std::ranges::copy_if(rules, std::back_inserter(rules_),
                       [](auto const &rule) { return rule->sequence() != nullptr; });
  waiting_.clear();
  before_ = counters();
  engine_.reset();
  latest_ = 0;
  reach_ = {};
  take_requests_ = false;
  if (rules_.empty()) return;
  engine_ = std::make_unique<eql::Engine>(rules_, eql::Engine::Options{});
  reach_ = std::chrono::milliseconds(engine_->longest_span());
  reach_ = std::min(reach_, std::chrono::milliseconds(kLongestReach));
  take_requests_ = std::ranges::any_of(rules_, [](auto const &rule) {
    return std::ranges::any_of(rule->sequence()->stages, [](auto const &stage) {
      return !stage.query.category || stage.query.category == "web";
    });
  });
  for (Exec const &each : recent) exec(each);
}

eql::Engine::Counters LiveRules::counters() const {
  auto const now = engine_ ? engine_->counters() : eql::Engine::Counters{};
  return {now.pending, before_.refused + now.refused, before_.uncombined + now.uncombined};
}

void LiveRules::exec(Exec exec) {
  if (!engine_) return;
  waiting_.push_back(std::move(exec));
  release();
}

void LiveRules::release() {
  if (!engine_) return;
  pump(arrivals_.empty() ? Clock::time_point::max() : *arrivals_.begin());
  if (waiting_.size() > kMostWaiting) pump(waiting_[waiting_.size() - kMostWaiting].when.at);
}

// Shows the engine what was exec'd up to then.
void LiveRules::pump(Clock::time_point until) {
  std::vector<eql::Engine::Match> ignored;  // a sequence that ends in an exec is nobody's connection
  while (!waiting_.empty() && waiting_.front().when.at <= until) {
    Exec const each = std::move(waiting_.front());
    waiting_.pop_front();
    auto const event = event_of(*each.who, {{}, &host_, nullptr, false}, Presented::exec);
    auto const at = stamp(each.when.at, {each.when.wall, "process", "exec", each.who});
    engine_->feed(eql::Row(engine_->fields(), event), at, ignored);
  }
}

// The engine's time never goes back: what comes late counts as of now.
eql::Stamp LiveRules::stamp(Clock::time_point at, SequenceEvent event) {
  latest_ = std::max(latest_, milliseconds(at));
  seen_.push_back(std::move(event));
  if (seen_.size() > kMostSeen) {
    seen_.pop_front();
    ++first_id_;
  }
  return {latest_, first_id_ + seen_.size() - 1};
}

SequenceMatchPtr LiveRules::describe(eql::Engine::Match const &match, std::size_t holder,
                                     Lineage const &who) const {
  auto result = std::make_shared<SequenceMatch>();
  result->rule = rules_[match.rule];
  result->holder = holder;
  result->self = true;
  for (auto const id : match.events) {
    if (id < first_id_) {
      result->self = false;  // whose it was is forgotten: not this one's, as far as anybody knows
      continue;
    }
    auto const &event = seen_[id - first_id_];
    auto const &entity = event.who->process.entity_id;
    if (event.category == "process" && (entity.empty() || entity != who.process.entity_id))
      result->self = false;
    result->events.push_back(event);
  }
  return result;
}

void LiveRules::take(std::vector<eql::Engine::Match> const &found, std::size_t holder, Lineage const &who,
                     Matches &matches) const {
  for (auto const &match : found) matches.push_back(describe(match, holder, who));
  // Not std::ranges::: clang 14, which builds the fuzzers, cannot read libstdc++ 12's subrange.
  std::stable_partition(matches.begin(), matches.end(), [](auto const &match) { return match->self; });
}

LiveRules::PresentedEvents const &LiveRules::presented(LineagePtr const &who, std::string_view endpoint,
                                                       bool tcp) {
  std::pair<Lineage const *, std::string> key(who.get(), endpoint);
  if (!tcp) key.second += " unix";
  auto const known = presented_.find(key);
  if (known != presented_.end()) return known->second;
  if (presented_.size() >= kMostPresented) presented_.clear();  // those that still come are soon there again
  Circumstances const circumstances{endpoint, &host_, nullptr, tcp};
  PresentedEvents made{who, presented_event(*who, circumstances, Presented::exec),
                       presented_event(*who, circumstances, Presented::connection)};
  return presented_.emplace(std::move(key), std::move(made)).first->second;
}

std::vector<SequenceMatchPtr> LiveRules::connected(Moment when, Attribution const &who,
                                                   std::string_view endpoint) {
  Matches matches;
  if (!engine_) return matches;
  pump(when.at);
  for (std::size_t i = 0; i < who.holders.size(); ++i) {
    auto const &holder = who.holders[i];
    auto const &[_, exec, connection] = presented(holder, endpoint, over_tcp(who));
    auto const presented = stamp(when.at, {when.wall, "process", "exec", holder});
    auto const last = stamp(when.at, {when.wall, "network", "connection_attempted", holder});
    std::vector<eql::Engine::Match> found;
    engine_->present(eql::Row(engine_->fields(), exec), presented.id, eql::Row(engine_->fields(), connection),
                     last, found);
    take(found, i, *holder, matches);
  }
  return matches;
}

std::vector<SequenceMatchPtr> LiveRules::requested(Moment when, Attribution const &who,
                                                   std::string_view endpoint,
                                                   MetadataRequest const &request) {
  Matches matches;
  if (!engine_) return matches;
  for (std::size_t i = 0; i < who.holders.size(); ++i) {
    auto const &holder = who.holders[i];
    auto const event = event_of(*holder, {endpoint, &host_, &request, over_tcp(who)}, Presented::request);
    auto const last = stamp(when.at, {when.wall, "web", "metadata_request", holder});
    std::vector<eql::Engine::Match> found;
    engine_->feed(eql::Row(engine_->fields(), event), last, found);
    take(found, i, *holder, matches);
  }
  return matches;
}

LiveRules::Arrival::Arrival(LiveRules &rules, Moment when)
    : rules_(rules), when_(when), place_(rules.arrivals_.insert(when.at)) {}

LiveRules::Arrival::~Arrival() {
  rules_.arrivals_.erase(place_);
  rules_.release();
}

}  // namespace imdsgate
