// The tracker's records as datagrams, under the terms of codec.hpp: pure, bounded, checked when decoded.
#pragma once

#include "attribute/codec.hpp"
#include "attribute/exec_record.hpp"

namespace imdsgate {

// At most kMaxMessage bytes: of an exec that would be longer the parent at fork, then the parent, then the
// process becomes unknown.
Bytes encode(TrackerRecord const &record);

// nullopt: not exactly one well-formed record.
std::optional<TrackerRecord> decode_record(std::span<std::uint8_t const> bytes);

}  // namespace imdsgate
