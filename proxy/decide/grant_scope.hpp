// Who gets a grant, as far as its `when` says: what cannot be proven, and who else is meant. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "decide/policy_entry.hpp"

namespace imdsgate {

struct GrantFault {
  bool warning = false;
  std::string text;  // what is wrong and what to write instead
};

// What makes it no grant at all, or one for anybody: a field that is never proven, no program, no user. A
// unit or a container narrows both: only root puts a process there. A pattern that fits any name there is
// (`*`, `/*`, `*.service`) narrows nothing.
std::vector<GrantFault> faults_of(eql::Query const &when);

// It is for a container (by its id, name or image) or a cgroup by its name: what a request from another network namespace needs.
bool names_container(eql::Query const &when);

// It rests on a container's name or image alone. In Kubernetes these are whoever creates a pod's to choose, but for the
// namespace.
bool rests_on_pods_own_names(eql::Query const &when);

// An interpreter runs what it is given, so naming one names nobody: the beginning of a sentence that says so.
// nullopt for a program that is one.
std::optional<std::string> every_script_of(std::string const &executable);

struct LoginUser {
  std::string name;
  std::string shell;
};
using LoginUsers = std::multimap<std::string, LoginUser>;  // by uid; those a person can log in as

// Who gets it besides the program that is meant: whoever has the same interpreter run something, and whoever
// logs in as the same user. Root is not among them: he needs no grant. Sentences; empty where a unit or a
// container narrows it.
std::vector<std::string> others_who_get(eql::Query const &when, LoginUsers const &logins);

}  // namespace imdsgate
