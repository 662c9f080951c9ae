#include "report/alert_limiter.hpp"

namespace imdsgate {

AlertLimiter::Bucket &AlertLimiter::bucket(AlertSubject const &alert, Time now) {
  auto found = buckets_.find(alert.name);
  if (found == buckets_.end()) {
    bool const full = buckets_.size() >= kMaxBuckets;
    found = buckets_.try_emplace(full ? std::string("other") : std::string(alert.name)).first;
  }
  Bucket &bucket = found->second;
  if (bucket.summary.name.empty()) {
    bucket.summary.name = found->first;
    bucket.summary.interval = alert.interval;
    bucket.summary.end = now + alert.interval;
  }
  return bucket;
}

bool AlertLimiter::first_of_its_kind(Bucket &bucket, AlertSubject const &alert) {
  // NUL cannot be part of a path, so the parts cannot run into each other.
  std::string combination(alert.executable);
  combination.append(1, '\0').append(alert.user).append(1, '\0').append(alert.path_class);
  if (bucket.combinations.contains(combination)) return false;
  if (bucket.combinations.size() >= kMaxCombinations ||
      bucket.combination_bytes + combination.size() > kMaxCombinationBytes) {
    ++bucket.summary.untracked;
    return true;
  }
  bucket.combination_bytes += combination.size();
  bucket.combinations.insert(std::move(combination));
  return true;
}

bool AlertLimiter::admit(AlertSubject const &alert, Time now) {
  Bucket &bucket = this->bucket(alert, now);
  Summary &summary = bucket.summary;
  bool const first = first_of_its_kind(bucket, alert);
  bool const within = alert.max_alerts < 0 || summary.emitted < static_cast<std::uint64_t>(alert.max_alerts);
  if (first || within) {
    ++summary.emitted;
    return true;
  }
  ++summary.suppressed;
  if (!bucket.processes.contains(alert.process)) {
    if (bucket.processes.size() < kMaxProcesses) {
      bucket.processes.emplace(alert.process);
    } else {
      summary.more_processes = true;
    }
  }
  return false;
}

std::vector<AlertLimiter::Summary> AlertLimiter::ended(Time now) {
  std::vector<Summary> summaries;
  for (auto bucket = buckets_.begin(); bucket != buckets_.end();) {
    if (bucket->second.summary.end > now) {
      ++bucket;
      continue;
    }
    if (bucket->second.summary.suppressed > 0) {
      bucket->second.summary.processes = bucket->second.processes.size();
      summaries.push_back(std::move(bucket->second.summary));
    }
    bucket = buckets_.erase(bucket);
  }
  return summaries;
}

std::vector<AlertLimiter::Summary> AlertLimiter::end_all() {
  return ended(Time::max());
}

}  // namespace imdsgate
