#include "report/unknown_paths.hpp"

#include <algorithm>

#include "report/ecs.hpp"
#include "report/redact.hpp"

namespace imdsgate {
namespace {

std::string who(RequestEvent const &event) {
  Lineage const *lineage = requester(event);
  if (lineage == nullptr) return {};
  auto const &process = lineage->process;
  return process.name().value_or(process.comm) + " (pid " + std::to_string(process.id.tgid) + ", uid " +
         std::to_string(process.effective_uid) + ')';
}

}  // namespace

void UnknownPaths::count(RequestEvent const &event) {
  if (!event.request || event.request->path_known || event.partial) return;
  auto const &request = *event.request;
  auto method = request.method.substr(0, kMethodBytes);
  auto path = redact_path(request.path).substr(0, kPathBytes);
  auto const place = paths_.try_emplace({request.provider, method, path}).first;
  auto &entry = place->second;
  if (entry.count++ == 0) {
    entry.provider = request.provider;
    entry.method = std::move(method);
    entry.path = std::move(path);
  }
  entry.last = event.time;
  entry.last_by = who(event);
  if (paths_.size() <= kPaths) return;
  auto const key = [](auto const &each) { return std::pair(each.second.count, each.second.last); };
  auto least = paths_.end();
  for (auto each = paths_.begin(); each != paths_.end(); ++each) {
    if (each != place && (least == paths_.end() || key(*each) < key(*least))) least = each;
  }
  paths_.erase(least);
  ++forgotten_;
}

std::vector<UnknownPath> UnknownPaths::most_asked_first() const {
  std::vector<UnknownPath> list;
  for (auto const &[key, entry] : paths_) list.push_back(entry);
  std::ranges::stable_sort(list, std::greater(), &UnknownPath::count);
  return list;
}

}  // namespace imdsgate
