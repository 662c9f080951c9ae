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

// A datagram holds one record or several, each behind its length.
void append_record(Bytes &datagram, std::span<std::uint8_t const> record);
// Takes the first off. nullopt: it is not whole.
std::optional<std::span<std::uint8_t const>> next_record(std::span<std::uint8_t const> &datagram);
constexpr std::size_t kMaxDatagram = kMaxMessage + sizeof(std::uint32_t);

}  // namespace imdsgate
