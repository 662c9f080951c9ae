#include "attribute/bpf_connections.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "attribute.skel.h"
#include "attribute/bpf_loading.hpp"
#include "attribute/held_fd.hpp"
#include "attribute/proc_parse.hpp"

namespace imdsgate {
namespace {

constexpr int kSoNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14

std::string cgroup2_mount() {
  std::ifstream file("/proc/self/mountinfo");
  std::string const text{std::istreambuf_iterator<char>(file), {}};
  for (auto const &mount : parse_mountinfo(text)) {
    if (mount.type == "cgroup2" && mount.root == "/") return mount.mount_point;
  }
  return {};
}

Result<std::uint64_t> own_netns_cookie() {
  HeldFd const socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) != 0) {
    return bpf_failure("SO_NETNS_COOKIE", errno);
  }
  return cookie;
}

bpf_guarded key_of(Endpoint const &endpoint) {
  bpf_guarded key{};
  std::copy(endpoint.address.bytes().begin(), endpoint.address.bytes().end(), key.address);
  key.port = endpoint.port;
  return key;
}

struct CloseLink {
  void operator()(bpf_link *link) const { bpf_link__destroy(link); }
};
struct CloseSkeleton {
  void operator()(attribute_bpf *skeleton) const { attribute_bpf__destroy(skeleton); }
};

}  // namespace

struct BpfConnections::Loaded {
  std::unique_ptr<attribute_bpf, CloseSkeleton> skeleton;
  std::vector<std::unique_ptr<bpf_link, CloseLink>> links;
  int connections = -1, arrivals = -1, guarded = -1, look_at_process = -1;
};

BpfConnections::BpfConnections(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
BpfConnections::~BpfConnections() = default;

Result<std::unique_ptr<BpfConnections>> BpfConnections::load(std::vector<Endpoint> const &guarded) {
  if (auto possible = prepare_bpf(); !possible) return possible.error();
  auto const mount = cgroup2_mount();
  if (mount.empty()) return Error{Errc::not_found, "no cgroup2 hierarchy is mounted"};
  HeldFd const cgroup(::open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return bpf_failure(mount.c_str(), errno);
  auto const netns = own_netns_cookie();
  if (!netns) return netns.error();

  auto loaded = std::make_unique<Loaded>();
  loaded->skeleton.reset(attribute_bpf__open());
  auto *skeleton = loaded->skeleton.get();
  if (!skeleton) return bpf_failure("the BPF programs cannot be opened", errno);
  skeleton->rodata->netns_cookie = *netns;
  skeleton->rodata->quota = BPF_QUOTA;
  if (int const error = attribute_bpf__load(skeleton); error != 0) {
    return bpf_failure("the BPF programs cannot be loaded", -error);
  }
  loaded->connections = bpf_map__fd(skeleton->maps.connections);
  loaded->arrivals = bpf_map__fd(skeleton->maps.arrivals);
  loaded->guarded = bpf_map__fd(skeleton->maps.guarded);
  loaded->look_at_process = bpf_program__fd(skeleton->progs.look_at_process);
  std::unique_ptr<BpfConnections> result(new BpfConnections(std::move(loaded)));
  if (auto done = result->guard(guarded); !done) return done.error();
  // The one that says who sends first: no connection may have an entry whose sends are not counted from the
  // beginning.
  result->loaded_->links.emplace_back(bpf_program__attach_trace(skeleton->progs.at_send));
  if (!result->loaded_->links.back()) return bpf_failure("tp_btf/sock_send_length cannot be attached", errno);
  for (auto *program :
       {skeleton->progs.at_socket_event, skeleton->progs.at_connect4, skeleton->progs.at_connect6}) {
    result->loaded_->links.emplace_back(bpf_program__attach_cgroup(program, cgroup.get()));
    if (!result->loaded_->links.back()) return bpf_failure("the cgroup programs cannot be attached", errno);
  }
  return result;
}

Result<void> BpfConnections::guard(std::vector<Endpoint> const &endpoints) {
  std::vector<bpf_guarded> keys;
  for (auto const &endpoint : endpoints) keys.push_back(key_of(endpoint));
  std::uint32_t const yes = 1;
  for (auto const &key : keys) {
    if (bpf_map_update_elem(loaded_->guarded, &key, &yes, BPF_ANY) != 0) {
      return bpf_failure("the guarded addresses cannot be told to the kernel", errno);
    }
  }
  auto const same = [](bpf_guarded const &a, bpf_guarded const &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
  };
  for (auto const &old : guarded_) {
    bool const kept = std::any_of(keys.begin(), keys.end(), [&](auto const &key) { return same(key, old); });
    // It can only be missing, which is as good.
    if (!kept) (void)bpf_map_delete_elem(loaded_->guarded, &old);
  }
  guarded_ = std::move(keys);
  return {};
}

void BpfConnections::record_every_namespace(bool every) { loaded_->skeleton->bss->every_netns = every ? 1 : 0; }

bool BpfConnections::records_every_namespace() const { return loaded_->skeleton->bss->every_netns != 0; }

std::optional<std::uint64_t> BpfConnections::find_beyond(Endpoint const &client, Endpoint const &original,
                                                         std::uint32_t syn) const {
  bpf_arrival key{};
  std::copy(client.address.bytes().begin(), client.address.bytes().end(), key.local_address);
  std::copy(original.address.bytes().begin(), original.address.bytes().end(), key.remote_address);
  key.local_port = client.port;
  key.remote_port = original.port;
  key.syn = syn;
  bpf_arrived arrived{};
  if (bpf_map_lookup_elem(loaded_->arrivals, &key, &arrived) != 0 || arrived.sockets != 1) return std::nullopt;
  return arrived.cookie;
}

std::optional<bpf_connection> BpfConnections::find(std::uint64_t cookie) const {
  bpf_connection connection{};
  if (bpf_map_lookup_elem(loaded_->connections, &cookie, &connection) != 0) return std::nullopt;
  return connection;
}

std::optional<bpf_look> BpfConnections::look(pid_t tgid) const {
  bpf_look look{};
  look.tgid = static_cast<std::uint32_t>(tgid);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.ctx_in = &look;
  options.ctx_size_in = sizeof look;
  if (bpf_prog_test_run_opts(loaded_->look_at_process, &options) != 0 || look.found == 0) return std::nullopt;
  return look;
}

BpfConnections::Counters BpfConnections::counters() const {
  auto const *bss = loaded_->skeleton->bss;
  return {bss->recorded, bss->refused_quota, bss->refused_full};
}

}  // namespace imdsgate
