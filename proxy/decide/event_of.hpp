// A live requester as the events a rule is written for (design §4 and §5).
//
// Claimed and proven: a term that raises suspicion sees everything a process goes by, one that removes it
// sees what the kernel vouches for.
//   process.name        claimed: basenames of the executable and of argv[0], comm; proven: of a proven
//   executable process.executable  claimed: its path, argv[0] when it is a path; proven: a proven path
//   process.args, process.command_line, user_agent.original: claimed only. A process writes them itself, so
//   they
//                       exclude nothing and grant nothing
//   process.working_directory  both, as published rules need it, though a process chooses it
//   the host, user.*, group.*, process.pid, process.entity_id, the cgroup, the request, network.* and its destination:
//   both
//   container.id, imdsgate.unit  claimed; proven where the cgroup's ancestry is root's
//   container.image.name, container.name, orchestrator.*  both, of a proven container.id
// A traced process proves no name, executable or directory. What could not be read is unreadable, never
// missing.
#pragma once

#include <span>
#include <string_view>

#include "model/event.hpp"
#include "model/process.hpp"
#include "model/request.hpp"
#include "rules/eql.hpp"

namespace imdsgate {

enum class Presented {
  exec,        // process / exec: the requester's own exec, again (design §5, "Live requester")
  connection,  // network / connection_attempted
  request,     // web / metadata_request
};

// Whose files the paths of executables have to name to be proven: a container's own are nobody's but for who names the
// container.
enum class SeenFrom { here, its_namespace };

// Every field that event_of() can set, sorted: what a policy's `when` may name.
std::span<std::string_view const> event_fields();

// A field whose values are all claimed: naming it in an allow entry grants nothing.
bool never_proven(std::string_view field);

// What the requester is seen doing. Borrowed for the call.
struct Circumstances {
  std::string_view endpoint;                 // "169.254.169.254:80", what the client dialled
  HostInfo const *host = nullptr;            // nullptr: not known
  MetadataRequest const *request = nullptr;  // for Presented::request
  bool tcp = true;                           // false: it came to the UNIX listener
};

eql::Event event_of(Lineage const &lineage, Circumstances const &circumstances, Presented as, SeenFrom root = SeenFrom::here);

}  // namespace imdsgate
