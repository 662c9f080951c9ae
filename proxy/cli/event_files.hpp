// The events that the configuration's file sinks have written, read again.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/settings.hpp"

namespace imdsgate {

// Those that are there, rotated ones first, the oldest of them first.
std::vector<std::string> event_files(std::vector<SinkSettings> const &sinks);

// The text at a dotted path of an event; empty when there is none.
std::string text_at(boost::json::value const &event, std::string_view dotted);

}  // namespace imdsgate
