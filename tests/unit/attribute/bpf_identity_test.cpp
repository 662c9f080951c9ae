#include "attribute/bpf_identity.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace imdsgate {
namespace {

bpf_task task() {
  bpf_task task{};
  task.start_boottime = 1;
  task.exec_id = 2;
  task.mm = 3;
  task.tgid = 4;
  task.real_uid = task.effective_uid = task.saved_uid = 33;
  task.real_gid = task.effective_gid = task.saved_gid = 44;
  return task;
}

TEST(BpfIdentity, IsAnotherWhereAnythingOfItDiffers) {
  auto const changes = std::vector<std::function<void(bpf_task &)>>{
      [](bpf_task &t) { t.tgid = 9; },
      [](bpf_task &t) { t.start_boottime = 9; },
      [](bpf_task &t) { t.exec_id = 9; },
      [](bpf_task &t) { t.unusual = BPF_TASK_TRACED; },
      [](bpf_task &t) { t.real_uid = 9; },
      [](bpf_task &t) { t.effective_uid = 9; },
      [](bpf_task &t) { t.saved_uid = 9; },
      [](bpf_task &t) { t.real_gid = 9; },
      [](bpf_task &t) { t.effective_gid = 9; },
      [](bpf_task &t) { t.saved_gid = 9; },
  };
  EXPECT_TRUE(same_task(task(), task()));
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto now = task();
    changes[i](now);
    EXPECT_FALSE(same_task(task(), now)) << i;
    EXPECT_FALSE(still_same_task(task(), now)) << i;
    now.mm = 0;
    EXPECT_FALSE(still_same_task(task(), now)) << i << ": whatever its main thread did";
  }
}

TEST(BpfIdentity, OfWhichTheMainThreadHasEndedIsStillTheSame) {
  auto now = task();
  now.mm = 0;
  EXPECT_TRUE(still_same_task(task(), now));
  EXPECT_FALSE(same_task(task(), now)) << "what two records say is compared as it is";
}

TEST(BpfIdentity, InOtherMemoryHasBegunToExec) {
  auto now = task();
  now.mm = 9;
  EXPECT_FALSE(same_task(task(), now));
  EXPECT_FALSE(still_same_task(task(), now));
}

}  // namespace
}  // namespace imdsgate
