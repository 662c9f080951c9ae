#include "attribute/exec_ring.hpp"

#include <bpf/libbpf.h>
#include <sys/mman.h>

#include "attribute/kernel_exec.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kAtOnce = 256;
constexpr int kEnough = -1;  // what stops libbpf after an event

}  // namespace

struct ExecRing::Shared {
  bpf_exec_shared values;
};

std::unique_ptr<ExecRing> ExecRing::open(int ring, int shared) {
  auto *page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  if (page == MAP_FAILED) return nullptr;
  std::unique_ptr<ExecRing> source(new ExecRing(static_cast<Shared *>(page)));
  source->certain_until_ = std::chrono::steady_clock::now();
  source->ring_ = ring_buffer__new(ring, &ExecRing::take, source.get(), nullptr);
  if (!source->ring_) return nullptr;
  return source;
}

ExecRing::~ExecRing() {
  ring_buffer__free(ring_);
  ::munmap(shared_, sizeof(Shared));
}

int ExecRing::poll_fd() {
  __atomic_store_n(&shared_->values.waits, 1, __ATOMIC_SEQ_CST);
  return ring_buffer__epoll_fd(ring_);
}

int ExecRing::take(void *self, void *data, std::size_t size) {
  auto &source = *static_cast<ExecRing *>(self);
  if (auto event = parse_kernel_event({static_cast<char const *>(data), size})) {
    source.taken_->push_back(*std::move(event));
  } else {
    __atomic_fetch_add(&source.shared_->values.lost, 1, __ATOMIC_RELAXED);  // another version's: not understood
  }
  return --source.left_ == 0 ? kEnough : 0;
}

bool ExecRing::drain(std::vector<ProcessEvent> &events) {
  auto const now = std::chrono::steady_clock::now();
  __atomic_store_n(&shared_->values.waits, 0, __ATOMIC_SEQ_CST);
  taken_ = &events;
  left_ = kAtOnce;
  bool const emptied = ring_buffer__consume(ring_) != kEnough;
  tell_losses();
  if (emptied) certain_until_ = now;  // whatever found the ring full before that is told
  return emptied;
}

// Also of a ring that is never empty: whoever waits for a barrier learns of them with it.
void ExecRing::tell_losses() {
  auto const lost = __atomic_load_n(&shared_->values.lost, __ATOMIC_ACQUIRE);
  auto const told = shared_->values.told;
  if (lost != told) {
    ProcessEvent event;
    event.what = ProcessEvent::What::lost;
    event.since = certain_until_;
    event.time = std::chrono::steady_clock::now();
    event.count = lost - told;
    taken_->push_back(event);
    __atomic_store_n(&shared_->values.told, lost, __ATOMIC_RELEASE);
  }
}

}  // namespace imdsgate
