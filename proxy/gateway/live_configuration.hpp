// The configuration that is in force: the file's, as the command line and the host's own firewall rules leave it. On
// the loop's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/daemon.hpp"
#include "gateway/host_rules.hpp"
#include "gateway/worker.hpp"

namespace imdsgate {

class LiveConfiguration {
 public:
  LiveConfiguration(RunOptions const &options, Configuration configuration);

  // At start, before the capabilities are dropped. Blocking. An error names the rules that are in the way.
  Result<void> stand_beside_host_rules();

  struct Reload {
    std::vector<Problem> errors;       // any: nothing has changed
    std::string needs_restart;         // keys, which keep the values that they had; empty: none
    std::optional<Error> host_rules;   // could not be looked at: what was taken over of them stays
  };
  // All of it changes at once, when everything was read.
  boost::asio::awaitable<Reload> reload(Worker &worker);

  // The host's own rules once more, as they are now. `told`: something of them was changed, as far as one is told.
  struct Look {
    bool changed = false;        // other denials are in force than before
    std::optional<Error> error;  // they cannot be taken over, and that is new; those that were stay
  };
  boost::asio::awaitable<Look> look_at_host_rules_again(Worker &worker, bool told);

  Settings const &settings() const { return settings_; }
  PolicySet const &policies() const { return policies_; }
  HostRules const &host_rules() const { return host_rules_; }
  std::string existing() const;  // whom the host's own rules keep away, one a line; empty: nobody
  std::string mode_source() const { return options_.mode ? "--mode" : "the configuration file"; }

 private:
  void take_over(HostRules rules);

  RunOptions const options_;
  Settings settings_;
  PolicySet policies_;
  HostRules host_rules_;  // what is in settings_ and policies_ of them
  std::string last_error_;    // of the last look
  unsigned reloads_ = 0;
};

}  // namespace imdsgate
