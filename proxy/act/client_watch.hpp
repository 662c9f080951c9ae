// While an answer is awaited nobody reads from the client: this notices that it is gone, so that the metadata service's
// end can be closed too. A client that only closed its sending side (half-close) is not gone.
#pragma once

#include <functional>
#include <memory>

#include "act/connection.hpp"

namespace imdsgate {

class ClientWatch {
 public:
  // on_gone runs on the loop, at most once. `alive` is asked when the client's stream has ended.
  ClientWatch(Connection &client, std::function<bool()> alive, std::function<void()> on_gone);
  ~ClientWatch();  // cancels what waits on the client's socket; nothing else may wait on it meanwhile
  ClientWatch(ClientWatch const &) = delete;
  ClientWatch &operator=(ClientWatch const &) = delete;

 private:
  struct State;
  static void wait(std::shared_ptr<State> const &state);
  static void look_again(std::shared_ptr<State> const &state);
  std::shared_ptr<State> state_;
};

}  // namespace imdsgate
