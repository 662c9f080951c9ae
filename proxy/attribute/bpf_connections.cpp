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

// A program that is called, with what it is asked and where it puts the answer.
template <class Context>
bool run(int program, Context &context) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  return bpf_prog_test_run_opts(program, &options) == 0;
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
  int connections = -1, accepted = -1, guarded = -1, look_at_process = -1, forget_closed = -1;
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
  loaded->accepted = bpf_map__fd(skeleton->maps.accepted);
  loaded->guarded = bpf_map__fd(skeleton->maps.guarded);
  loaded->look_at_process = bpf_program__fd(skeleton->progs.look_at_process);
  loaded->forget_closed = bpf_program__fd(skeleton->progs.forget_closed);
  std::unique_ptr<BpfConnections> result(new BpfConnections(std::move(loaded)));
  if (auto done = result->guard(guarded); !done) return done.error();
  // The one that says who sends first: no connection may have an entry whose sends are not counted from the
  // beginning.
  result->loaded_->links.emplace_back(bpf_program__attach_trace(skeleton->progs.at_send));
  if (!result->loaded_->links.back()) return bpf_failure("tp_btf/sock_send_length cannot be attached", errno);
  for (auto *program :
       {skeleton->progs.at_release, skeleton->progs.at_socket_event, skeleton->progs.at_connect4, skeleton->progs.at_connect6}) {
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

std::optional<ConnectionId> BpfConnections::client_of(int accepted) const {
  bpf_connection_id id{};
  if (bpf_map_lookup_elem(loaded_->accepted, &accepted, &id) != 0) return std::nullopt;
  return ConnectionId{id.cookie, id.connected_ns};
}

std::optional<bpf_connection> BpfConnections::find(ConnectionId const &id) const {
  bpf_connection_id const key{id.cookie, id.connected_ns};
  bpf_connection connection{};
  if (bpf_map_lookup_elem(loaded_->connections, &key, &connection) != 0) return std::nullopt;
  return connection;
}

std::optional<bpf_look> BpfConnections::look(pid_t tgid) const {
  bpf_look look{};
  look.tgid = static_cast<std::uint32_t>(tgid);
  if (!run(loaded_->look_at_process, look) || look.found == 0) return std::nullopt;
  return look;
}

bool BpfConnections::lives(bpf_task const &task) const {
  auto const now = look(static_cast<pid_t>(task.tgid));
  return now && now->process.start_boottime == task.start_boottime && now->ended == 0;
}

std::uint64_t BpfConnections::forget_closed(std::chrono::nanoseconds ago) {
  auto const up = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
  if (up <= ago) return 0;  // the host was not up then
  bpf_forget forget{static_cast<std::uint64_t>((up - ago).count()), 0};
  if (!run(loaded_->forget_closed, forget)) return 0;  // they stay, and the quota bounds them
  forgotten_ += forget.forgotten;
  return forget.forgotten;
}

bool BpfConnections::refused_since(std::chrono::steady_clock::time_point time) const {
  std::uint64_t const last = loaded_->skeleton->bss->refused_ns;
  auto const since = std::chrono::nanoseconds(time.time_since_epoch()).count();
  return last != 0 && static_cast<std::int64_t>(last) >= since;
}

BpfConnections::Counters BpfConnections::counters() const {
  auto const *bss = loaded_->skeleton->bss;
  return {bss->recorded, bss->refused_quota, bss->refused_full, forgotten_};
}

}  // namespace imdsgate
