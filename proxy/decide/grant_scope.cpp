#include "decide/grant_scope.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "decide/event_of.hpp"

namespace imdsgate {
namespace {

eql::Demand const *demanded(eql::Query const &when, std::string_view field) {
  auto const at = std::ranges::find(when.demands, field, &eql::Demand::field);
  return at == when.demands.end() ? nullptr : &*at;
}

// A pattern of wildcards alone is no demand.
bool narrows(eql::Query const &when, std::string_view field) {
  auto const *demand = demanded(when, field);
  return demand != nullptr && std::ranges::none_of(demand->any_of, [](eql::Demand::Text const &any) {
           return any.pattern && any.text.find_first_not_of("*?") == std::string::npos;
         });
}

bool has_place(eql::Query const &when) {
  return narrows(when, "imdsgate.unit") || narrows(when, "container.id");
}

bool names(eql::Query const &when, std::string_view field) {
  return std::ranges::binary_search(when.fields, field);
}

// Debian's, Red Hat's and SUSE's names, versions behind them: python3.11, lua5.4, ruby3.1.
constexpr std::string_view kInterpreters[] = {
    "ash",    "awk",     "bash", "bun",   "busybox", "csh",   "dash", "deno", "env",    "fish",
    "gawk",   "guile",   "java", "jruby", "jshell",  "julia", "ksh",  "lua",  "luajit", "mawk",
    "mksh",   "mono",    "nawk", "node",  "nodejs",  "perl",  "php",  "pwsh", "pypy",   "pypy3",
    "python", "rscript", "ruby", "sh",    "tclsh",   "tcsh",  "zsh"};

bool is_interpreter(std::string_view path) {
  auto name = path.substr(path.rfind('/') + 1);
  while (!name.empty() &&
         (name.back() == '*' || name.back() == '.' || (name.back() >= '0' && name.back() <= '9'))) {
    name.remove_suffix(1);
  }
  return std::ranges::find(kInterpreters, name) != std::end(kInterpreters);
}

std::string listed(eql::Demand const &demand) {
  std::string text;
  for (auto const &any : demand.any_of) text += (text.empty() ? "" : ", ") + any.text;
  return text;
}

std::string whose(eql::Query const &when) {
  for (auto const *field : {"user.id", "user.name"}) {
    if (auto const *demand = demanded(when, field)) return "user " + listed(*demand);
  }
  return "anyone";
}

constexpr std::string_view kUnit = "imdsgate.unit == \"NAME.service\"";
}  // namespace

std::vector<GrantFault> faults_of(eql::Query const &when) {
  std::vector<GrantFault> faults;
  for (auto const &field : when.fields) {
    if (never_proven(field)) {
      faults.push_back({false, field + " is what a process says of itself and never holds in a grant; name "
                                       "process.executable"});
    } else if (field.ends_with("working_directory")) {
      faults.push_back(
          {false, "a process chooses its " + field + ", so it proves nothing; name process.executable"});
    }
  }
  bool const program = narrows(when, "process.executable") || has_place(when);
  if (!program && names(when, "process.name")) {
    faults.push_back({false,
                      "a process.name is the same in every directory and proves nothing; name "
                      "process.executable"});
  } else if (!program) {
    faults.push_back({true, "names no program, so all that " + whose(when) +
                                " runs gets this grant; add process.executable"});
  }
  if (!narrows(when, "user.id") && !narrows(when, "user.name") && !has_place(when)) {
    faults.push_back(
        {false, "names no user, so everyone who can run the program gets this grant; add user.id, or " +
                    std::string(kUnit)});
  }
  return faults;
}

std::optional<std::string> every_script_of(std::string const &executable) {
  if (!is_interpreter(executable)) return std::nullopt;
  return executable + " runs what it is given: every script";
}

std::vector<std::string> others_who_get(eql::Query const &when, LoginUsers const &logins) {
  std::vector<std::string> others;
  if (has_place(when)) return others;
  auto const *executable = demanded(when, "process.executable");
  if (executable != nullptr) {
    for (auto const &any : executable->any_of) {
      auto const every_script = every_script_of(any.text);
      if (!every_script) continue;
      others.push_back(*every_script + " of " + whose(when) + " gets this grant; add " + std::string(kUnit) +
                       ", and only that service does");
    }
  }
  for (auto const &[uid, user] : logins) {
    auto const is = [&](char const *field, std::string const &value) {
      auto const *demand = demanded(when, field);
      return demand != nullptr &&
             std::ranges::find(demand->any_of, value, &eql::Demand::Text::text) != demand->any_of.end();
    };
    if (uid == "0" || !(is("user.id", uid) || is("user.name", user.name))) continue;
    others.push_back(
        "user " + uid + " (" + user.name + ") logs in with " + user.shell + ": whoever does can run " +
        (executable != nullptr ? listed(*executable) : "any program") +
        ", with code of his own in it; give the program a user of its own, or add " + std::string(kUnit));
  }
  return others;
}

}  // namespace imdsgate
