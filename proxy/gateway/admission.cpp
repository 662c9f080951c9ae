#include "gateway/admission.hpp"

namespace imdsgate {

std::optional<Admission::Ticket> Admission::enter() {
  if (open_ >= caps_.connections) return std::nullopt;
  ++open_;
  return Ticket(this);
}

bool Admission::Ticket::claim(uid_t uid) {
  if (uid_) return true;
  auto &count = admission_->by_uid_[uid];
  if (count >= admission_->caps_.per_uid) {
    if (count == 0) admission_->by_uid_.erase(uid);
    return false;
  }
  ++count;
  uid_ = uid;
  return true;
}

Admission::Ticket::~Ticket() {
  if (admission_ == nullptr) return;
  --admission_->open_;
  if (!uid_) return;
  auto const found = admission_->by_uid_.find(*uid_);
  if (--found->second == 0) admission_->by_uid_.erase(found);
}

}  // namespace imdsgate
