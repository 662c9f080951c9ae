#include "attribute/gone_clients.hpp"

#include <cstring>

namespace imdsgate {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

DescribeForked question_about(bpf_connection const &connection) {
  return {user_ids(connection.connector), std::nullopt, connection.cgroup};
}

// What it exec'd; users and cgroup are those that it connected with.
void take_image(Process &process, Process const &execd) {
  process.id.exec = execd.id.exec;
  process.executable = execd.executable;
  process.executed_as = execd.executed_as;
  process.args = execd.args;
  process.args_truncated = execd.args_truncated;
  process.at_exec = std::make_shared<Process const>(execd);
  process.working_directory.reset();  // it may have changed it before it connected
}

}  // namespace

GoneClients::GoneClients(ProberClient &prober, BpfConnections const &connections, GoneClientsOptions options)
    : prober_(prober), connections_(connections), options_(options), families_(options.cached, options.describe_again) {}

GoneClients::Family::Family(bpf_connection const &connection)
    : parent(connection.parent), rights(connection.connector), cgroup(connection.cgroup) {
  rights.start_boottime = rights.exec_id = rights.mm = rights.tgid = 0;
}

asio::awaitable<LineagePtr> GoneClients::describe(bpf_connection connection, Deadline deadline) {
  bool const copy = is_copy_of_parent(connection);
  LineagePtr known;
  ExecRecordPtr exec;
  if (copy) known = co_await family_of(connection, deadline);
  if (!known) {
    if (execs_ != nullptr) (void)co_await execs_->drained(deadline);  // what was not told by then is not known
    exec = exec_of(copy ? connection.parent : connection.connector, connection);
    if (!exec || !brought_about(*exec, connection)) co_return nullptr;
    if (!copy) known = co_await family_of(connection, deadline);
    if (!known) known = co_await orphaned(connection, deadline);
    if (!known) co_return nullptr;
  }
  auto lineage = std::make_shared<Lineage>(*known);
  auto &process = lineage->process;
  if (exec) take_image(process, *exec->process);
  process.comm.assign(connection.image.comm, ::strnlen(connection.image.comm, sizeof connection.image.comm));
  process.id.exec.comm = process.comm;
  auto const &task = connection.connector;
  boot_.rename(process, static_cast<pid_t>(task.tgid), start_ticks(task));
  if (exec && !copy) *lineage = with_exec(*lineage, *exec);
  co_return doubted(std::move(lineage), task, connection.parent);
}

// The parent has to be who it was when the child connected. nullptr: it is not, or cannot be described.
asio::awaitable<LineagePtr> GoneClients::family_of(bpf_connection connection, Deadline deadline) {
  auto const pid = static_cast<pid_t>(connection.parent.tgid);
  if (pid == 0) co_return nullptr;
  Family const family(connection);
  if (auto known = families_.find(pid, family, Clock::now())) co_return known;
  auto question = question_about(connection);
  question.parent = Describe{pid, start_ticks(connection.parent)};
  auto described = co_await prober_.forked(question, deadline);
  if (!described || !described->parent || !fits(connection.parent, *described->parent)) co_return nullptr;
  // After the description, as with everyone who is described.
  auto now = connections_.look(pid);
  if (now) now->process.unusual &= ~static_cast<std::uint32_t>(BPF_TASK_OTHER_CREDENTIALS);  // as it was looked at then
  if (!now || !still_same_task(connection.parent, now->process)) co_return nullptr;
  auto lineage = std::make_shared<Lineage>(*std::move(described));
  if (auto const why = doubt(*lineage->parent, now->process)) {
    prober_.proven().withdraw(lineage->parent->id);
    distrust(*lineage->parent, *why);
    distrust(lineage->process, *why);  // its executable is the parent's
  }
  // A copy has exec'd nothing itself: it goes by what its parent went by, and nothing else is to be joined with it.
  auto const exec = exec_of(connection.parent, connection);
  lineage->process.at_exec = exec && exec->process ? exec->process : std::make_shared<Process const>(*lineage->parent);
  families_.remember(pid, family, lineage, Clock::now());
  co_return lineage;
}

// Of whom the parent is gone too, or another program by now: it is who exec events said it was.
asio::awaitable<LineagePtr> GoneClients::orphaned(bpf_connection connection, Deadline deadline) {
  auto const exec = exec_of(connection.parent, connection);
  if (!exec || !exec->process || !fits(connection.parent, *exec->process)) co_return nullptr;
  auto const question = question_about(connection);
  auto described = co_await prober_.forked(question, deadline);
  if (!described) co_return nullptr;
  auto lineage = std::make_shared<Lineage>(*std::move(described));
  auto const &parent = *exec->process;
  lineage->parent = parent;
  lineage->process.parent_pid = parent.id.tgid;
  lineage->ancestry = {{parent.id.tgid, parent.name(), parent.executable ? std::optional(parent.executable->path) : std::nullopt}};
  co_return lineage;
}

// The one by which the process was what it was when the connection was made.
ExecRecordPtr GoneClients::exec_of(bpf_task const &task, bpf_connection const &connection) const {
  if (execs_ == nullptr) return nullptr;
  MonotonicTime const connected{std::chrono::nanoseconds(connection.connected_ns)};
  return execs_->history().find(static_cast<pid_t>(task.tgid), start_ticks(task), connected);
}

}  // namespace imdsgate
