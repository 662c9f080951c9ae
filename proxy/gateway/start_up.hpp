// The small questions of starting and reloading: what is inherited, what is needed, what cannot change while running.
#pragma once

#include <string>
#include <vector>

#include "gateway/capabilities.hpp"
#include "gateway/settings.hpp"
#include "report/async_sink.hpp"

namespace imdsgate {

std::vector<int> inherited_listeners();  // sd_listen_fds(3); close-on-exec is set
std::vector<NeededCapability> capabilities_of_a_run(Settings const &settings);
std::vector<SinkOptions> sink_options(std::vector<SinkSettings> const &sinks);
void raise_descriptor_limit();  // to the hard limit; each connection takes two

// The keys that differ and are read at start only, comma-separated; and the new settings with the old values of those.
std::string needs_restart(Settings const &running, Settings const &loaded);
void keep_what_needs_restart(Settings const &running, Settings &loaded);

}  // namespace imdsgate
