#include "decide/grant_scope.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "decide/ascii_case.hpp"
#include "decide/event_of.hpp"
#include "rules/pattern_set.hpp"

namespace imdsgate {
namespace {

eql::Demand const *demanded(eql::Query const &when, std::string_view field) {
  auto const at = std::ranges::find(when.demands, field, &eql::Demand::field);
  return at == when.demands.end() ? nullptr : &*at;
}

// As the condition itself would match it, letters' case and all.
eql::PatternSet allowed(eql::Demand const &demand, eql::Demand::Text const &any) {
  eql::PatternSet set(demand.folded ? eql::Case::folded : eql::Case::sensitive);
  if (any.pattern) {
    set.add_pattern(any.text);
  } else {
    set.add_text(any.text);
  }
  return set;
}

// Values that nothing has, in the forms that the field's have: a pattern that fits one fits whatever there
// is.
std::vector<std::string> strangers_to(std::string_view field) {
  std::string const nothing(24, '\x7f');
  if (field == "imdsgate.unit") return {nothing + ".service", nothing + ".scope"};
  if (field == "container.image.name") {
    std::vector<std::string> images;
    for (std::string image = nothing; images.size() < 6; image += '/' + nothing) images.insert(images.end(), {image, image + ':' + nothing});
    return images;
  }
  if (field != "process.executable" && field != "imdsgate.cgroup") return {nothing};
  std::vector<std::string> paths = {""};
  for (int depth = 0; depth < 6; ++depth) paths.push_back(paths.back() + '/' + nothing);
  paths.erase(paths.begin());
  return paths;
}

bool narrows(eql::Query const &when, std::string_view field) {
  auto const *demand = demanded(when, field);
  if (demand == nullptr) return false;
  auto const strangers = strangers_to(field);
  return std::ranges::none_of(demand->any_of, [&](eql::Demand::Text const &any) {
    if (!any.pattern) return false;
    auto const pattern = allowed(*demand, any);
    return std::ranges::any_of(strangers, [&](auto const &value) { return pattern.matches(value); });
  });
}

bool is_of_container(eql::Query const &when) {
  return narrows(when, "container.id") || narrows(when, "container.name") || narrows(when, "container.image.name");
}

bool has_place(eql::Query const &when) {
  return narrows(when, "imdsgate.unit") || is_of_container(when);
}

bool names(eql::Query const &when, std::string_view field) {
  return std::ranges::binary_search(when.fields, field);
}

// Debian's, Red Hat's and SUSE's names, versions behind them: python3.11, lua5.4, ruby3.1.
constexpr std::string_view kInterpreters[] = {
    "ash",    "awk",     "bash", "bun",   "busybox", "csh",   "dash", "deno", "env",    "fish",
    "gawk",   "guile",   "java", "jruby", "jshell",  "julia", "ksh",  "lua",  "luajit", "mawk",
    "mksh",   "mono",    "nawk", "node",  "nodejs",  "perl",  "php",  "pwsh", "pypy",   "pypy3",
    "python", "Rscript", "ruby", "sh",    "tclsh",   "tcsh",  "zsh"};

std::string_view last_segment(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// The name without its version, or without what a pattern leaves open of it.
std::string_view without_version(std::string_view name) {
  return name.substr(0, name.find_last_not_of("*?.0123456789") + 1);
}

// A pattern is one when it fits an interpreter where distributions have them, or wherever its last segment
// says.
bool is_interpreter(eql::Demand const &demand, eql::Demand::Text const &any) {
  auto const name = last_segment(any.text);
  auto const stem = without_version(name);
  auto const called = [&](std::string_view interpreter) {
    return demand.folded ? equal_folded(stem, interpreter) : stem == interpreter;
  };
  if (std::ranges::any_of(kInterpreters, called)) return true;
  if (!any.pattern) return false;
  auto const path = allowed(demand, any), last = allowed(demand, {std::string(name), true});
  return std::ranges::any_of(kInterpreters, [&](std::string_view interpreter) {
    for (auto const *version : {"", "3", "3.11"}) {
      auto const versioned = std::string(interpreter) + version;
      if (!stem.empty() && last.matches(versioned)) return true;
      for (auto const *directory : {"/bin/", "/usr/bin/", "/usr/local/bin/"}) {
        if (path.matches(directory + versioned)) return true;
      }
    }
    return false;
  });
}

std::string every_script(std::string const &executable) {
  return executable + " runs what it is given: every script";
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

bool names_container(eql::Query const &when) {
  return is_of_container(when) || narrows(when, "imdsgate.cgroup");
}

bool rests_on_pods_own_names(eql::Query const &when) {
  bool const others = narrows(when, "container.id") || narrows(when, "imdsgate.cgroup") || narrows(when, "imdsgate.unit") ||
                      narrows(when, "orchestrator.namespace");
  return is_of_container(when) && !others;
}

std::optional<std::string> every_script_of(std::string const &executable) {
  if (!is_interpreter({}, {executable})) return std::nullopt;
  return every_script(executable);
}

std::vector<std::string> others_who_get(eql::Query const &when, LoginUsers const &logins) {
  std::vector<std::string> others;
  if (has_place(when)) return others;
  auto const *executable = demanded(when, "process.executable");
  if (executable != nullptr) {
    for (auto const &any : executable->any_of) {
      if (!is_interpreter(*executable, any)) continue;
      others.push_back(every_script(any.text) + " of " + whose(when) + " gets this grant; add " +
                       std::string(kUnit) + ", and only that service does");
    }
  }
  for (auto const &[uid, user] : logins) {
    auto const is = [&](char const *field, std::string const &value) {
      auto const *demand = demanded(when, field);
      return demand != nullptr && std::ranges::any_of(demand->any_of, [&](auto const &any) {
               return allowed(*demand, any).matches(value);
             });
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
