#include "report/serializer.hpp"

#include "report/ecs.hpp"

namespace imdsgate {

Serializer::Serializer(HostInfo host, Deliver deliver)
    : host_(std::move(host)), deliver_(std::move(deliver)) {
  pending_.reserve(256);
  thread_ = std::thread([this] { run(); });
}

Serializer::~Serializer() {
  stop();
}

void Serializer::put_item(Item item) {
  bool first = false;
  {
    std::lock_guard const lock(mutex_);
    if (stopping_ || pending_.size() >= kQueue) {
      ++dropped_;
      return;
    }
    first = pending_.empty();
    pending_.push_back(std::move(item));
  }
  if (first) wake_.notify_one();
}

void Serializer::put(RequestEvent event, bool line, bool alert) {
  put_item({std::move(event), line, alert});
}

void Serializer::put(LifecycleEvent event) {
  bool const alert = event.alert;
  put_item({std::move(event), !alert, alert});
}

void Serializer::deliver(Item const &item) const {
  if (auto const *lifecycle = std::get_if<LifecycleEvent>(&item.event)) {
    return deliver_(to_ecs(*lifecycle, host_), item.alert);
  }
  auto const &request = std::get<RequestEvent>(item.event);
  if (item.line) deliver_(to_ecs(request, host_, EventKind::event), false);
  if (item.alert) deliver_(to_ecs(request, host_, EventKind::alert), true);
}

void Serializer::run() {
  std::vector<Item> batch;
  batch.reserve(256);
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !pending_.empty() || stopping_; });
    wake_.wait_for(lock, kBatch, [this] { return hurry_ || stopping_; });
    if (pending_.empty()) return;  // stopping, and nothing is left
    batch.swap(pending_);
    busy_ = true;
    lock.unlock();
    for (auto const &item : batch) deliver(item);
    batch.clear();
    lock.lock();
    busy_ = false;
    idle_.notify_all();
  }
}

bool Serializer::flush(std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  hurry_ = true;
  wake_.notify_one();
  bool const done = idle_.wait_for(lock, deadline, [this] { return pending_.empty() && !busy_; });
  hurry_ = false;
  return done;
}

void Serializer::stop() {
  {
    std::lock_guard const lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace imdsgate
