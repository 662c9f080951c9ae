// Numbers with units, as configuration and rule files write them. Pure; whole texts only, no white space.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace imdsgate {

// "500ms", "5s", "5m", "1h", "9d": a whole number and one unit, at most 100 years. nullopt: anything else.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "64MiB", "16KiB", "1GiB", "4096B", "4096": bytes, binary units only. nullopt: anything else, or above 2^63.
std::optional<std::uint64_t> parse_size(std::string_view text);

// RFC 3339 with an offset: "2027-01-01T00:00:00Z", "2027-01-01T00:00:00.5+02:00". Fractions are cut at the
// clock's resolution; a leap second (:60) is the last second of its minute. nullopt: anything else.
std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text);

// Decimal, or hexadecimal with 0x; no sign. nullopt: anything else, or above 2^64-1.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

}  // namespace imdsgate
