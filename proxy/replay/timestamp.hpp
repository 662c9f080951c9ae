// `@timestamp` as recorded events write it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace imdsgate {

// Milliseconds since the epoch, floored, also before 1970. nullopt: none of these forms, no such day or time,
// or not within the years 0 to 9999.
// - ISO 8601, calendar dates: 2026-11-24T05:45:29.054Z. Between date and time T, t or one space; seconds and
// the time of
//   day may be absent; a fraction of seconds of any length behind `.` or `,`; Z, z, +hh:mm, +hhmm, +hh, or
//   none, which is UTC; the separators of a date and of a time may be absent (20261124T054529Z). 23:59:60 is
//   the last second of its day.
// - Milliseconds since the epoch: decimal digits, a sign and a fraction or exponent allowed. Eight digits are
// that too, and
//   no date.
std::optional<std::int64_t> recorded_time(std::string_view text);

}  // namespace imdsgate
