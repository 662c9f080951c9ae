// What follows from who asks and what for.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/process.hpp"
#include "model/reason.hpp"
#include "model/request.hpp"
#include "model/rule_info.hpp"

namespace imdsgate {

struct HostInfo;  // event.hpp

enum class Mode { audit, enforce };
enum class Verdict { allow, alert, block };  // rising strictness
enum class Action { forward, block };

std::string_view to_string(Mode);
std::string_view to_string(Verdict);
std::string_view to_string(Action);

// One event of a sequence that was completed.
struct SequenceEvent {
  std::chrono::system_clock::time_point time;
  std::string_view category;  // ECS event.category: "process", "network" or "web"
  std::string_view action;    // ECS event.action
  LineagePtr who;
};

// A sequence rule that a connection, or a request on it, completed.
struct SequenceMatch {
  std::shared_ptr<RuleInfo const> rule;  // in truth a rules/rule.hpp Rule
  bool self = false;                     // through the requester's own exec; false: through a sibling's
  std::size_t holder = 0;                // index into Attribution::holders
  std::vector<SequenceEvent> events;     // in order
};
using SequenceMatchPtr = std::shared_ptr<SequenceMatch const>;

// One thing that applied. Exactly one of `rule` and `reason` is set, or neither for a grant.
struct Finding {
  Verdict verdict = Verdict::allow;
  std::string name;                      // the rule's id, the policy entry's name, or the reason's name
  std::shared_ptr<RuleInfo const> rule;  // in truth a rules/rule.hpp Rule
  std::optional<Reason> reason;
  std::size_t holder = 0;     // index into Attribution::holders it is about
  SequenceMatchPtr sequence;  // of a rule that is one
};

// Whose session token came with a request.
struct TokenUse {
  enum class Kind {
    own,      // given to the same unit, session or process, as ec2.scope says
    shared,   // to another that `ec2.share` says it shares with
    foreign,  // to another
    unknown,  // not through this gateway since it started, or none that is still good
  };
  Kind kind = Kind::unknown;
  LineagePtr minter;  // whom a foreign or shared one was given to
};
std::string_view to_string(TokenUse::Kind);

struct Decision {
  Verdict verdict = Verdict::allow;
  std::vector<Finding> findings;     // the one that decided first
  std::optional<std::string> grant;  // the allow entry that applied
  std::size_t requester = 0;         // which holder the event names: the one with the strictest finding
  int block_status = 403;            // 400 for an ambiguous target, 429 for too many requests
  bool in_every_mode = false;        // it blocks in audit, too: the host's own firewall did before, or it is
                                     // another network namespace's and nobody's that can be named
  std::optional<TokenUse> token;     // nullopt: none came, or ec2.token_binding is off
};

// What may be missing of the execs within a sequence rule's reach, when no match was found: then it is not
// known that there is none. Rising doubt.
enum class MissingExecs {
  none,
  unread,  // a child of the same parent was gone before what it exec'd could be read, or exec events had only
           // begun
  lost,    // exec events were lost
};

// The holders of the connection on which a session token was given out.
using TokenMinters = std::shared_ptr<std::vector<LineagePtr> const>;

// What decide() is asked. Borrowed for the call.
struct AccessRequest {
  MetadataRequest const &request;
  Attribution const *attribution;  // nullptr: unattributed, then `unattributed` is set
  std::optional<Reason> unattributed;
  std::string_view endpoint;  // "169.254.169.254:80", what the client dialled
  std::chrono::system_clock::time_point now;
  HostInfo const *host = nullptr;  // nullptr: not known
  std::optional<std::uint32_t> socket_uid = {};  // who created the client's socket; nullopt: not known
  bool crossed_namespace = false;  // it comes from another network namespace, over a guarded bridge
  // What this connection and this request completed, a rule's match through the requester itself first.
  std::span<SequenceMatchPtr const> sequences = {};
  MissingExecs missing_execs = MissingExecs::none;
  // EC2, a request without a session token: the holder that was denied one lately (decide/denied_tokens.hpp).
  std::optional<std::size_t> denied_token = {};
  // EC2, for each session token in the request: whom it was given to; nullptr: not known.
  std::span<TokenMinters const> tokens = {};
  bool tokens_forgotten = false;  // one that is not known may be one that was, and had to make room
  // How often it asks (decide/request_rates.hpp). A share is told of once in a while only.
  bool over_share = false, over_rate = false;
};

}  // namespace imdsgate
