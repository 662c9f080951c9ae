#include "intercept/nft_table.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <span>

namespace imdsgate {
namespace {

using Attributes = std::span<nlattr *>;
using Handler = std::function<void(std::uint8_t family, Attributes)>;
struct FreeSocket {
  void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
struct FreeMessage {
  void operator()(nl_msg *message) const { nlmsg_free(message); }
};
using Socket = std::unique_ptr<nl_sock, FreeSocket>;
using Message = std::unique_ptr<nl_msg, FreeMessage>;

constexpr int kMostAttributes = 32;
constexpr int kAttempts = 10;

Error netlink_error(std::string const &what, int code) {
  return Error{Errc::system, what + ": " + nl_geterror(code)};
}

Result<Socket> open_socket() {
  Socket socket(nl_socket_alloc());
  if (!socket) return Error{Errc::system, "nl_socket_alloc"};
  if (int const code = nl_connect(socket.get(), NETLINK_NETFILTER); code < 0) {
    return netlink_error("a netfilter netlink socket", code);
  }
  nl_socket_disable_auto_ack(socket.get());
  return socket;
}

Message nft_message(int type, int flags, bool ipv6) {
  Message message(nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | type, flags));
  nfgenmsg header{static_cast<std::uint8_t>(ipv6 ? NFPROTO_IPV6 : NFPROTO_IPV4), NFNETLINK_V0, 0};
  if (message) nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO);
  return message;
}

int on_message(nl_msg *message, void *argument) {
  nlattr *attributes[kMostAttributes + 1];
  if (nlmsg_parse(nlmsg_hdr(message), sizeof(nfgenmsg), attributes, kMostAttributes, nullptr) == 0) {
    auto const *header = static_cast<nfgenmsg const *>(nlmsg_data(nlmsg_hdr(message)));
    (*static_cast<Handler *>(argument))(header->nfgen_family, attributes);
  }
  return NL_OK;
}

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET: return "inet";
    case NFPROTO_IPV4: return "ip";
    case NFPROTO_IPV6: return "ip6";
    case NFPROTO_BRIDGE: return "bridge";
    case NFPROTO_NETDEV: return "netdev";
    default: return "family " + std::to_string(family);
  }
}

// Sends a request and hands each message of the answer to `handler`.
Result<void> ask(nl_sock *socket, Message message, Handler handler) {
  if (!message) return Error{Errc::system, "no memory for a netlink message"};
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &on_message, &handler);
  if (int const code = nl_send_auto(socket, message.get()); code < 0) return netlink_error("nf_tables", code);
  if (int const code = nl_recvmsgs_default(socket); code < 0) return netlink_error("nf_tables", code);
  return {};
}

Result<std::uint32_t> generation(nl_sock *socket) {
  std::uint32_t value = 0;
  auto asked = ask(socket, nft_message(NFT_MSG_GETGEN, NLM_F_REQUEST, false),
                   [&](std::uint8_t, Attributes attributes) {
                     if (attributes[NFTA_GEN_ID] != nullptr)
                       value = ntohl(nla_get_u32(attributes[NFTA_GEN_ID]));
                   });
  if (!asked) return asked.error();
  return value;
}

// Every object of one kind in the table. In all of them attribute 1 is the table's name.
Result<void> each_of(nl_sock *socket, int type, std::string const &table, bool ipv6, Handler const &handler) {
  return ask(socket, nft_message(type, NLM_F_REQUEST | NLM_F_DUMP, ipv6),
             [&](std::uint8_t, Attributes attributes) {
               if (attributes[1] != nullptr && nla_get_string(attributes[1]) == table) handler(0, attributes);
             });
}

Result<NftTable> read_once(nl_sock *socket, std::string const &table, bool ipv6) {
  NftTable contents;
  auto const name_of = [](nlattr *attribute) {
    return attribute == nullptr ? std::string() : std::string(nla_get_string(attribute));
  };
  auto read = each_of(socket, NFT_MSG_GETTABLE, table, ipv6,
                      [&](std::uint8_t, Attributes) { contents.exists = true; });
  if (!read) return read.error();
  read = each_of(socket, NFT_MSG_GETCHAIN, table, ipv6, [&](std::uint8_t, Attributes attributes) {
    auto *const policy = attributes[NFTA_CHAIN_POLICY];
    bool const accepts = policy == nullptr || ntohl(nla_get_u32(policy)) == NF_ACCEPT;
    contents.chains.push_back({name_of(attributes[NFTA_CHAIN_NAME]), 0, accepts});
  });
  if (!read) return read.error();
  read = each_of(socket, NFT_MSG_GETRULE, table, ipv6, [&](std::uint8_t, Attributes attributes) {
    for (auto &chain : contents.chains) {
      if (chain.name == name_of(attributes[NFTA_RULE_CHAIN])) ++chain.rules;
    }
  });
  if (!read) return read.error();
  for (int const type : {NFT_MSG_GETSET, NFT_MSG_GETOBJ, NFT_MSG_GETFLOWTABLE}) {
    read = each_of(socket, type, table, ipv6, [&](std::uint8_t, Attributes) { ++contents.others; });
    if (!read) return read.error();
  }
  return contents;
}

struct BatchAnswer {
  int error = 0;
  bool acknowledged = false;
};

int on_batch_ack(nl_msg *, void *argument) {
  static_cast<BatchAnswer *>(argument)->acknowledged = true;
  return NL_STOP;
}

int on_batch_error(sockaddr_nl *, nlmsgerr *error, void *argument) {
  static_cast<BatchAnswer *>(argument)->error = error->error;
  return NL_STOP;
}

void append(std::vector<char> &batch, nl_msg *message, std::uint32_t sequence) {
  auto *const header = nlmsg_hdr(message);
  header->nlmsg_seq = sequence;
  auto const *bytes = reinterpret_cast<char const *>(header);
  batch.insert(batch.end(), bytes, bytes + header->nlmsg_len);
  batch.resize(NLMSG_ALIGN(batch.size()));
}

Message batch_mark(int type, std::uint32_t generation) {
  Message message(nlmsg_alloc_simple(type, NLM_F_REQUEST));
  nfgenmsg header{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)};
  nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO);
  if (type == NFNL_MSG_BATCH_BEGIN) nla_put_u32(message.get(), NFNL_BATCH_GENID, htonl(generation));
  return message;
}

// One transaction of one message, refused by the kernel when the generation has moved on (ERESTART).
Result<void> commit(Message message, std::uint32_t expected) {
  auto socket = open_socket();
  if (!socket) return socket.error();
  nl_socket_disable_seq_check(socket->get());
  std::vector<char> batch;
  append(batch, batch_mark(NFNL_MSG_BATCH_BEGIN, expected).get(), 1);
  append(batch, message.get(), 2);
  append(batch, batch_mark(NFNL_MSG_BATCH_END, 0).get(), 3);
  BatchAnswer answer;
  nl_socket_modify_cb(socket->get(), NL_CB_ACK, NL_CB_CUSTOM, &on_batch_ack, &answer);
  nl_socket_modify_err_cb(socket->get(), NL_CB_CUSTOM, &on_batch_error, &answer);
  if (int const code = nl_sendto(socket->get(), batch.data(), batch.size()); code < 0) {
    return netlink_error("nf_tables", code);
  }
  int const code = nl_recvmsgs_default(socket->get());
  if (answer.error == -ERESTART || answer.error == -EBUSY) {
    return Error{Errc::refused, "the ruleset changed meanwhile"};
  }
  if (answer.error != 0) return netlink_error("nf_tables", -nl_syserr2nlerr(answer.error));
  if (code < 0) return netlink_error("nf_tables", code);
  if (!answer.acknowledged) return Error{Errc::system, "nf_tables did not acknowledge a deletion"};
  return {};
}

}  // namespace

NftTable::Chain const *NftTable::chain(std::string const &name) const {
  auto const found = std::ranges::find(chains, name, &Chain::name);
  return found == chains.end() ? nullptr : &*found;
}

Result<bool> nf_tables_available() {
  auto socket = open_socket();
  if (!socket) return socket.error();
  auto message = nft_message(NFT_MSG_GETGEN, NLM_F_REQUEST, false);
  if (int const code = nl_send_auto(socket->get(), message.get()); code < 0)
    return netlink_error("nf_tables", code);
  int const code = nl_recvmsgs_default(socket->get());
  // nfnetlink's answer for a subsystem that is not there is EINVAL, and EOPNOTSUPP while it loads.
  if (code == -NLE_INVAL || code == -NLE_OPNOTSUPP) return false;
  if (code < 0) return netlink_error("nf_tables", code);
  return true;
}

Result<NftTable> read_nft_table(std::string const &table, bool ipv6) {
  auto socket = open_socket();
  if (!socket) return socket.error();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto const before = generation(socket->get());
    if (!before) return before.error();
    auto contents = read_once(socket->get(), table, ipv6);
    auto const after = generation(socket->get());
    if (!after) return after.error();
    if (*before != *after) continue;
    if (!contents) return contents.error();
    contents->generation = *after;
    return contents;
  }
  return Error{Errc::refused, "the ruleset does not stand still"};
}

Result<void> delete_nft_table(std::string const &table, bool ipv6, std::uint32_t generation) {
  auto message = nft_message(NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, ipv6);
  nla_put_string(message.get(), NFTA_TABLE_NAME, table.c_str());
  return commit(std::move(message), generation);
}

Result<void> delete_nft_chain(std::string const &table, std::string const &chain, bool ipv6,
                              std::uint32_t generation) {
  auto message = nft_message(NFT_MSG_DELCHAIN, NLM_F_REQUEST | NLM_F_ACK, ipv6);
  nla_put_string(message.get(), NFTA_CHAIN_TABLE, table.c_str());
  nla_put_string(message.get(), NFTA_CHAIN_NAME, chain.c_str());
  return commit(std::move(message), generation);
}

namespace {

// One look and at most one deletion. True: nothing is left to do; Errc::refused when the ruleset changed in between.
Result<bool> tidy_once(std::string const &table, bool ipv6, bool made_table, std::set<std::string> const &made_chains) {
  auto const contents = read_nft_table(table, ipv6);
  if (!contents) return contents.error();
  auto const ours = [&](NftTable::Chain const &chain) {
    return made_chains.contains(chain.name) && chain.rules == 0 && chain.accepts;
  };
  if (!contents->exists) return true;
  Result<void> deleted = boost::system::in_place_value;
  if (made_table && contents->others == 0 && std::ranges::all_of(contents->chains, ours)) {
    deleted = delete_nft_table(table, ipv6, contents->generation);
    if (!deleted) return deleted.error();
    return true;
  }
  auto const chain = std::ranges::find_if(contents->chains, ours);
  if (chain == contents->chains.end()) return true;
  deleted = delete_nft_chain(table, chain->name, ipv6, contents->generation);
  if (!deleted) return deleted.error();
  return false;
}

}  // namespace

Result<void> tidy_nft_table(std::string const &table, bool ipv6, bool made_table,
                            std::set<std::string> const &made_chains) {
  for (int attempt = 1;; ++attempt) {
    auto const tidied = tidy_once(table, ipv6, made_table, made_chains);
    if (tidied && *tidied) return {};
    if (!tidied && (tidied.error().code != Errc::refused || attempt == kAttempts)) return tidied.error();
  }
}

Result<std::vector<std::string>> unlisted_nft_tables(SavedRules const &ip, SavedRules const &ip6) {
  auto socket = open_socket();
  if (!socket) return socket.error();
  std::vector<std::string> tables;
  auto message = nft_message(NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, false);
  static_cast<nfgenmsg *>(nlmsg_data(nlmsg_hdr(message.get())))->nfgen_family = NFPROTO_UNSPEC;
  auto asked = ask(socket->get(), std::move(message), [&](std::uint8_t family, Attributes attributes) {
    if (attributes[NFTA_TABLE_NAME] == nullptr) return;
    std::string const name = nla_get_string(attributes[NFTA_TABLE_NAME]);
    bool const printed = (family == NFPROTO_IPV4 && ip.table(name) != nullptr) ||
                         (family == NFPROTO_IPV6 && ip6.table(name) != nullptr);
    if (!printed && family != NFPROTO_ARP) tables.push_back(family_name(family) + ' ' + name);
  });
  if (!asked) return asked.error();
  return tables;
}

}  // namespace imdsgate
