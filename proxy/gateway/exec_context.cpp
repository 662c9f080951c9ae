#include "gateway/exec_context.hpp"

#include <algorithm>

namespace imdsgate {

namespace {

constexpr auto kShortestMemory = std::chrono::seconds(10);
constexpr std::size_t kMostEnriched = 1024;

LiveRules::Exec exec_of(ExecRecord const &record) {
  auto who = std::make_shared<Lineage>();
  who->process = *record.process;
  if (record.parent) who->parent = *record.parent;
  if (record.parent_at_fork) who->former_parents.push_back(record.parent_at_fork);
  return {ExecContext::moment(record.time), std::move(who)};
}

}  // namespace

ExecContext::ExecContext(ExecEvents *events, HostInfo host) : events_(events), host_(std::move(host)), rules_(host_) {
  if (events_ == nullptr) return;
  events_->on_exec = [this](ExecRecord const &record) { on_exec(record); };
}

void ExecContext::use(std::vector<std::shared_ptr<Rule const>> const &rules) {
  std::vector<LiveRules::Exec> recent;
  if (events_ != nullptr) {
    for (auto const &record : events_->history().recent()) {
      if (record->process) recent.push_back(exec_of(*record));
    }
    not_told_until_ = events_->history().dropped_until();
  }
  rules_.use(rules, recent);
  if (events_ != nullptr) {
    events_->history().retain(std::max<std::chrono::milliseconds>(kShortestMemory, 2 * rules_.reach()));
  }
}

ExecContext::Limits ExecContext::limits() const {
  auto const sequences = rules_.counters();
  Limits limits{sequences.pending, sequences.refused, sequences.uncombined, eql::terms_not_all_tried(), 0, 0};
  if (events_ == nullptr) return limits;
  auto const &history = events_->history().counters();
  limits.execs = history.dropped_recent;
  limits.processes = history.refused_processes + history.buried_early;
  return limits;
}

void ExecContext::on_exec(ExecRecord const &record) {
  if (record.process) rules_.exec(exec_of(record));
}

boost::asio::awaitable<bool> ExecContext::settled(Deadline deadline) {
  if (events_ == nullptr || !events_->since()) co_return true;
  co_return co_await events_->drained(deadline);
}

LineagePtr ExecContext::with_exec(LineagePtr const &who) {
  if (who->process.at_exec) return who;  // of one that has ended: its number may be another's by now
  auto const &id = who->process.id;
  auto const record = events_ != nullptr ? events_->history().find(id.tgid, id.start_ticks) : nullptr;
  if (!record || !record->process) return who;
  auto const known = enriched_.find(who.get());
  if (known != enriched_.end() && known->second.record == record) return known->second.result;
  if (enriched_.size() >= kMostEnriched) enriched_.clear();  // those that still come are soon there again
  auto result = std::make_shared<Lineage const>(imdsgate::with_exec(*who, *record));
  enriched_.insert_or_assign(who.get(), Enriched{who, record, result});
  return result;
}

bool ExecContext::has_exec_after(Process const &process, MonotonicTime time) const {
  if (events_ == nullptr) return false;
  auto const record = events_->history().find(process.id.tgid, process.id.start_ticks);
  return record && record->time > time;
}

bool ExecContext::may_miss_exec_after(MonotonicTime time) const {
  return events_ != nullptr && events_->history().unknown_since(time, MonotonicTime::max());
}

MissingExecs ExecContext::missing(Attribution const &who, MonotonicTime time) const {
  if (events_ == nullptr || !rules_.any()) return MissingExecs::none;
  auto const from = time - rules_.reach();
  auto const &history = events_->history();
  if (history.lost_since(from, time) || (not_told_until_ && from <= *not_told_until_)) return MissingExecs::lost;
  if (!events_->since() || from < *events_->since()) return MissingExecs::unread;
  bool const unread = std::ranges::any_of(who.holders, [&](LineagePtr const &holder) {
    return holder->parent &&
           history.unknown_under(holder->parent->id.tgid, holder->parent->id.start_ticks, from, time);
  });
  return unread ? MissingExecs::unread : MissingExecs::none;
}

LiveRules::Moment ExecContext::moment(MonotonicTime time) {
  auto const ago = MonotonicTime::clock::now() - time;
  return {time, std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(ago)};
}

}  // namespace imdsgate
