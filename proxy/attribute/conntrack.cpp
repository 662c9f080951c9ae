#include "attribute/conntrack.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>

namespace imdsgate {
namespace {

bool put_address(nl_msg *message, int v4_type, int v6_type, Address const &address, bool v4) {
  if (v4) {
    auto const four = address.v4();
    return nla_put(message, v4_type, static_cast<int>(four.size()), four.data()) == 0;
  }
  auto const &sixteen = address.bytes();
  return nla_put(message, v6_type, static_cast<int>(sixteen.size()), sixteen.data()) == 0;
}

bool put_tuple(nl_msg *message, int direction, Endpoint const &source, Endpoint const &destination, bool v4) {
  auto *tuple = nla_nest_start(message, direction);
  auto *ip = tuple ? nla_nest_start(message, CTA_TUPLE_IP) : nullptr;
  if (!ip || !put_address(message, CTA_IP_V4_SRC, CTA_IP_V6_SRC, source.address, v4) ||
      !put_address(message, CTA_IP_V4_DST, CTA_IP_V6_DST, destination.address, v4)) {
    return false;
  }
  nla_nest_end(message, ip);
  auto *protocol = nla_nest_start(message, CTA_TUPLE_PROTO);
  if (!protocol || nla_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP) < 0 ||
      nla_put_u16(message, CTA_PROTO_SRC_PORT, htons(source.port)) < 0 ||
      nla_put_u16(message, CTA_PROTO_DST_PORT, htons(destination.port)) < 0) {
    return false;
  }
  nla_nest_end(message, protocol);
  nla_nest_end(message, tuple);
  return true;
}

std::optional<Address> read_address(nlattr *v4, nlattr *v6) {
  if (v4 && nla_len(v4) == 4) {
    std::array<std::uint8_t, 4> four{};
    nla_memcpy(four.data(), v4, static_cast<int>(four.size()));
    return Address::from_v4(four);
  }
  if (v6 && nla_len(v6) == 16) {
    std::array<std::uint8_t, 16> sixteen{};
    nla_memcpy(sixteen.data(), v6, static_cast<int>(sixteen.size()));
    return Address::from_v6(sixteen);
  }
  return std::nullopt;
}

std::optional<ConntrackTuple> read_tuple(nlattr *nested) {
  nlattr *tuple[CTA_TUPLE_MAX + 1] = {};
  nlattr *ip[CTA_IP_MAX + 1] = {};
  nlattr *protocol[CTA_PROTO_MAX + 1] = {};
  if (!nested || nla_parse_nested(tuple, CTA_TUPLE_MAX, nested, nullptr) < 0 || !tuple[CTA_TUPLE_IP] ||
      !tuple[CTA_TUPLE_PROTO] || nla_parse_nested(ip, CTA_IP_MAX, tuple[CTA_TUPLE_IP], nullptr) < 0 ||
      nla_parse_nested(protocol, CTA_PROTO_MAX, tuple[CTA_TUPLE_PROTO], nullptr) < 0) {
    return std::nullopt;
  }
  auto const source = read_address(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC]);
  auto const destination = read_address(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST]);
  auto *source_port = protocol[CTA_PROTO_SRC_PORT], *destination_port = protocol[CTA_PROTO_DST_PORT];
  if (!source || !destination || !source_port || nla_len(source_port) != 2 || !destination_port ||
      nla_len(destination_port) != 2) {
    return std::nullopt;
  }
  return ConntrackTuple{{*source, ntohs(nla_get_u16(source_port))},
               {*destination, ntohs(nla_get_u16(destination_port))}};
}

std::optional<std::chrono::system_clock::time_point> read_start(nlattr *nested) {
  nlattr *times[CTA_TIMESTAMP_MAX + 1] = {};
  if (!nested || nla_parse_nested(times, CTA_TIMESTAMP_MAX, nested, nullptr) < 0) return std::nullopt;
  auto *start = times[CTA_TIMESTAMP_START];
  if (!start || nla_len(start) != sizeof(std::uint64_t)) return std::nullopt;
  auto const since_epoch = std::chrono::nanoseconds(be64toh(nla_get_u64(start)));
  return std::chrono::system_clock::time_point(since_epoch);
}

// A message of `type` about the connection that has these ends in `direction` (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY).
NlMsgPtr about(int type, int direction, Endpoint const &source, Endpoint const &destination) {
  bool const v4 = source.address.is_v4() && destination.address.is_v4();
  nfgenmsg family{};
  family.nfgen_family = v4 ? AF_INET : AF_INET6;
  family.version = NFNETLINK_V0;
  NlMsgPtr message(nlmsg_alloc_simple(NFNL_SUBSYS_CTNETLINK << 8 | type, 0));
  if (!message || nlmsg_append(message.get(), &family, sizeof family, NLMSG_ALIGNTO) < 0 ||
      !put_tuple(message.get(), direction, source, destination, v4)) {
    return nullptr;
  }
  return message;
}

}  // namespace

Result<Conntrack::Known> Conntrack::get(int direction, Endpoint const &source, Endpoint const &destination) {
  auto const message = about(IPCTNL_MSG_CT_GET, direction, source, destination);
  if (!message) return Error{Errc::system, "out of memory"};
  auto const answer = socket_.get(message.get());
  if (!answer) return answer.error();
  nlattr *attributes[CTA_MAX + 1] = {};
  if (nlmsg_parse(*answer, sizeof(nfgenmsg), attributes, CTA_MAX, nullptr) < 0) {
    return Error{Errc::system, "ctnetlink: malformed answer"};
  }
  auto const original = read_tuple(attributes[CTA_TUPLE_ORIG]);
  auto const reply = read_tuple(attributes[CTA_TUPLE_REPLY]);
  if (!original || !reply) return Error{Errc::system, "ctnetlink: malformed answer"};
  return Known{*original, *reply, read_start(attributes[CTA_TIMESTAMP])};
}

Result<Conntrack> Conntrack::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  return Conntrack(std::move(*socket));
}

Result<Conntrack::Known> Conntrack::get_accepted(Flow const &flow) {
  auto const known = get(CTA_TUPLE_REPLY, flow.local, flow.client);
  if (!known) return known.error();
  bool const same = known->reply.source == flow.local && known->reply.destination == flow.client &&
                    known->original.destination == flow.original;
  if (!same) return Error{Errc::not_found, "ctnetlink: another connection"};
  return known;
}

Result<Endpoint> Conntrack::original_client(Flow const &flow) {
  auto const known = get_accepted(flow);
  if (!known) return known.error();
  return known->original.source;
}

std::optional<std::chrono::system_clock::time_point> Conntrack::started(Flow const &flow) {
  auto const known = get_accepted(flow);
  return known ? known->started : std::nullopt;
}

Result<void> Conntrack::note_times() {
  constexpr char const *kSetting = "/proc/sys/net/netfilter/nf_conntrack_timestamp";
  std::ofstream file(kSetting);
  file << "1" << std::flush;
  if (!file) return Error{Errc::system, std::string(kSetting) + " cannot be written"};
  return {};
}

Result<Endpoint> Conntrack::answerer(Endpoint const &client, Endpoint const &original) {
  auto const known = get(CTA_TUPLE_ORIG, client, original);
  if (!known) return known.error();
  return known->reply.source;
}

Result<void> Conntrack::forget(Endpoint const &client, Endpoint const &original) {
  auto const message = about(IPCTNL_MSG_CT_DELETE, CTA_TUPLE_ORIG, client, original);
  if (!message) return Error{Errc::system, "out of memory"};
  return socket_.change(message.get());
}

}  // namespace imdsgate
