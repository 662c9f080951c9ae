#include "intercept/foreign_rules.hpp"

#include <algorithm>
#include <charconv>

namespace imdsgate {
namespace {

std::optional<int> small_number(std::string_view text) {
  int value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool about_port(RuleFacts const &facts, std::uint16_t port) {
  return !facts.ports || std::ranges::any_of(*facts.ports, [&](PortRange const &range) {
    return range.first <= port && port <= range.last;
  });
}

// The redirect changes destination, port and interface before filter rules see the packet: a refusal that
// tests one of them no longer applies to what it kept from the metadata service.
bool steered_around(RuleFacts const &facts) {
  bool const negated =
      std::ranges::any_of(facts.destinations, [](auto const &destination) { return destination.negated; });
  return facts.owner && facts.drops && (facts.out_interface || facts.ports || negated);
}

bool defeats(RuleFacts const &facts, Exemption const &exemption) {
  if (!facts.on_output) return false;
  if (facts.untracks && !facts.source_port) return true;
  if (facts.restores_mark && (*facts.restores_mark & exemption.mask) != 0) return true;
  return steered_around(facts);
}

}  // namespace

std::optional<AddressBlock> AddressBlock::parse(std::string_view text) {
  if (auto const dash = text.find('-'); dash != text.npos) {
    auto const first = Address::parse(text.substr(0, dash));
    auto const last = Address::parse(text.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    return range(*first, *last);
  }
  auto const slash = text.find('/');
  auto const address = Address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  AddressBlock block;
  block.first_ = address->bytes();
  block.masked_ = true;
  block.last_.fill(0xff);
  if (slash == text.npos) return block;
  auto const mask = text.substr(slash + 1);
  int const width = address->is_v4() ? 32 : 128;
  if (auto const length = small_number(mask)) {
    if (*length < 0 || *length > width) return std::nullopt;
    int const ones = 128 - width + *length;
    for (int bit = ones; bit < 128; ++bit) {
      auto &byte = block.last_[static_cast<std::size_t>(bit / 8)];
      byte = static_cast<std::uint8_t>(byte & ~(0x80 >> (bit % 8)));
    }
    block.everything_ = *length == 0;
    return block;
  }
  auto const dotted = Address::parse(mask);
  if (!dotted || dotted->is_v4() != address->is_v4()) return std::nullopt;
  auto const first = static_cast<std::size_t>((128 - width) / 8);
  std::copy(dotted->bytes().begin() + static_cast<std::ptrdiff_t>(first), dotted->bytes().end(),
            block.last_.begin() + static_cast<std::ptrdiff_t>(first));
  block.everything_ = std::all_of(block.last_.begin() + static_cast<std::ptrdiff_t>(first), block.last_.end(),
                                  [](std::uint8_t byte) { return byte == 0; });
  return block;
}

AddressBlock AddressBlock::range(Address first, Address last) {
  AddressBlock block;
  block.first_ = first.bytes();
  block.last_ = last.bytes();
  auto const host = static_cast<std::ptrdiff_t>(first.is_v4() ? 12 : 0);
  block.everything_ = std::all_of(block.first_.begin() + host, block.first_.end(),
                                  [](std::uint8_t byte) { return byte == 0; }) &&
                      std::all_of(block.last_.begin() + host, block.last_.end(),
                                  [](std::uint8_t byte) { return byte == 0xff; });
  return block;
}

bool AddressBlock::covers(Address const &address) const {
  auto const &bytes = address.bytes();
  if (!masked_) return first_ <= bytes && bytes <= last_;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if ((bytes[i] & last_[i]) != (first_[i] & last_[i])) return false;
  }
  return true;
}

std::optional<std::string> judge(RuleFacts const &facts, FirewallSpec const &spec) {
  if (facts.excludes_tcp) return std::nullopt;
  for (auto const &endpoint : spec.endpoints) {
    auto const covers = [&](AddressBlock const &block) {
      return !block.everything() && block.covers(endpoint.address);
    };
    if (std::ranges::any_of(facts.nat_targets, covers)) return "";
    if (!about_port(facts, endpoint.port)) continue;
    bool const named = std::ranges::any_of(
        facts.destinations, [&](RuleFacts::Destination const &each) { return covers(each.block); });
    if (named) return "";
    bool const elsewhere = !facts.destinations.empty() && facts.unreadable.empty() &&
                           std::ranges::all_of(facts.destinations, [&](RuleFacts::Destination const &each) {
                             return !each.negated && !each.block.covers(endpoint.address);
                           });
    if (elsewhere) continue;
    if (!facts.unreadable.empty()) return "cannot be read: " + facts.unreadable.front() + ": ";
    if (defeats(facts, spec.exemption)) return "";
  }
  return std::nullopt;
}

std::vector<Endpoint> concerned_endpoints(RuleFacts const &facts, FirewallSpec const &spec) {
  std::vector<Endpoint> concerned;
  FirewallSpec one = spec;
  for (auto const &endpoint : spec.endpoints) {
    one.endpoints = {endpoint};
    if (judge(facts, one)) concerned.push_back(endpoint);
  }
  return concerned;
}

}  // namespace imdsgate
