// What the kernel kept of the packet that opened a connection (TCP_SAVED_SYN, Linux 4.2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace imdsgate {

// The listener's connections keep theirs from now on. Without it, saved_syn_sequence() is nullopt.
void keep_syns(int listener);

// The sequence number of the accepted connection's SYN; nullopt: not kept (a SYN cookie's is not), or read
// before.
std::optional<std::uint32_t> saved_syn_sequence(int accepted);

// Pure: of an IP packet from its network header on. IPv6 with extension headers is nullopt.
std::optional<std::uint32_t> syn_sequence(std::span<std::uint8_t const> packet);

}  // namespace imdsgate
