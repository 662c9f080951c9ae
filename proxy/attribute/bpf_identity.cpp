#include "attribute/bpf_identity.hpp"

#include <tuple>

namespace imdsgate {
namespace {

auto key(bpf_task const &task) {
  return std::tie(task.tgid, task.start_boottime, task.exec_id, task.mm, task.unusual, task.real_uid,
                  task.effective_uid, task.saved_uid, task.real_gid, task.effective_gid, task.saved_gid);
}

}  // namespace

bool same_task(bpf_task const &before, bpf_task const &now) {
  return key(before) == key(now);
}

bool still_same_task(bpf_task const &before, bpf_task now) {
  if (now.mm == 0) now.mm = before.mm;
  return same_task(before, now);
}

}  // namespace imdsgate
