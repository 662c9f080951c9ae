#include "gateway/policy_review.hpp"

#include <algorithm>

#include "decide/entry_cover.hpp"

namespace imdsgate {
namespace {

using Entries = std::vector<PolicyEntry>;

// Thousands of grants for one program and path would be compared with one another.
constexpr std::size_t kMostComparisons = 4'000'000;

class Reviewer {
 public:
  Reviewer(Configuration const &configuration, std::string const &file,
           std::chrono::system_clock::time_point now)
      : choices_(configuration.choices), file_(file), now_(now) {}

  void find_shadowed() {
    EntryIndex const denials(choices_.deny), grants(choices_.allow);
    for (std::uint32_t i = 0; i < choices_.deny.size(); ++i) {
      add_shadowed(choices_.deny[i],
                   covering({choices_.deny, denials, EntryKind::deny}, choices_.deny[i], i));
    }
    for (std::uint32_t i = 0; i < choices_.allow.size(); ++i) {
      auto const &entry = choices_.allow[i];
      auto const *denial = covering({choices_.deny, denials, EntryKind::deny}, entry, choices_.deny.size());
      add_shadowed(entry, denial ? denial : covering({choices_.allow, grants, EntryKind::allow}, entry, i));
    }
    if (comparisons_ > kMostComparisons) {
      problems_.push_back(
          {file_, 0, 0, true, "so many entries are alike that not all were held against one another"});
    }
  }

  void find_wider_than_profile() {
    std::vector<Entries> profiles;
    for (auto const &name : profile_names()) profiles.push_back(profile_entries({name, {}}));
    for (auto const &entry : choices_.allow) {
      if (!entry.profile.empty() || !entry.when) continue;
      for (auto const &profile : profiles) add_wider(entry, profile);
    }
  }

  void find_others(LoginUsers const &logins) {
    for (auto const &entry : choices_.allow) {
      if (!entry.profile.empty() || !entry.when) continue;
      for (auto const &text : others_who_get(*entry.when, logins)) warn(entry, text);
    }
  }

  void find_pods_own_names(Settings const &settings) {
    if (!settings.container_runtime || settings.container_api != ContainerApi::cri) return;
    for (auto const &entry : choices_.allow) {
      if (!entry.when || !rests_on_pods_own_names(*entry.when)) continue;
      warn(entry, "whoever creates a pod chooses the name and the image of its container, and so gets this grant; add "
                  "orchestrator.namespace");
    }
  }

  std::vector<Problem> take() { return std::move(problems_); }

 private:
  struct Earlier {
    Entries const &entries;
    EntryIndex const &index;
    EntryKind kind;
  };

  void warn(PolicyEntry const &entry, std::string const &text) {
    problems_.push_back(
        {file_, entry.place.line, entry.place.column, true, "entry " + entry.name + ": " + text});
  }

  bool expired(PolicyEntry const &entry) const { return entry.expires && *entry.expires <= now_; }

  // What covers an entry demands no other executable, and has no other path: one of each is enough to find
  // it.
  static std::vector<std::uint32_t> candidates(Earlier const &earlier, PolicyEntry const &entry) {
    std::vector<std::string> executables;
    if (entry.when) {
      auto const at = std::ranges::find(entry.when->demands, "process.executable", &eql::Demand::field);
      if (at != entry.when->demands.end()) executables.push_back(at->any_of.front().text);
    }
    return earlier.index.candidates(entry.paths.empty() ? "/" : entry.paths.front(), executables);
  }

  PolicyEntry const *covering(Earlier const &earlier, PolicyEntry const &entry, std::size_t before) {
    for (auto const i : candidates(earlier, entry)) {
      if (i >= before || ++comparisons_ > kMostComparisons) break;
      auto const &other = earlier.entries[i];
      if (!expired(other) && covers(other, earlier.kind, entry)) return &other;
    }
    return nullptr;
  }

  void add_shadowed(PolicyEntry const &entry, PolicyEntry const *by) {
    if (by == nullptr || !entry.profile.empty()) return;
    warn(entry, "never applies: " + by->name + " on line " + std::to_string(by->place.line) +
                    " decides all that it is about");
  }

  static bool demands_same_program(PolicyEntry const &entry, PolicyEntry const &known) {
    auto const of = [](PolicyEntry const &each) -> eql::Demand const * {
      if (!each.when) return nullptr;
      auto const at = std::ranges::find(each.when->demands, "process.executable", &eql::Demand::field);
      return at == each.when->demands.end() ? nullptr : &*at;
    };
    auto const *one = of(entry), *other = of(known);
    // Only an agent with a program of its own: curl is anybody's.
    return one != nullptr && other != nullptr && std::ranges::any_of(one->any_of, [&](auto const &any) {
             return !any.text.ends_with("/curl") &&
                    std::ranges::find(other->any_of, any) != other->any_of.end();
           });
  }

  void add_wider(PolicyEntry const &entry, Entries const &profile) {
    Entries known;
    std::ranges::copy_if(profile, std::back_inserter(known),
                         [&](PolicyEntry const &each) { return demands_same_program(entry, each); });
    if (known.empty()) return;
    auto const &name = known.front().profile;
    if (entry.paths.empty()) {
      return warn(entry, "gives every path; what that agent needs is in the profile " + name);
    }
    for (auto const &path : entry.paths) {
      auto const covers_path = [&](std::string const &pattern) { return pattern_covers(pattern, path); };
      auto const listed = [&](PolicyEntry const &each) {
        return std::ranges::any_of(each.paths, covers_path);
      };
      if (std::ranges::any_of(known, listed)) continue;
      return warn(entry, "gives " + path + ", which that agent does not need by the profile " + name);
    }
  }

  PolicyChoices const &choices_;
  std::string const &file_;
  std::chrono::system_clock::time_point now_;
  std::size_t comparisons_ = 0;
  std::vector<Problem> problems_;
};
}  // namespace

std::vector<Problem> review(Configuration const &configuration, std::string const &file,
                            LoginUsers const &logins, std::chrono::system_clock::time_point now) {
  Reviewer reviewer(configuration, file, now);
  reviewer.find_shadowed();
  reviewer.find_wider_than_profile();
  reviewer.find_others(logins);
  reviewer.find_pods_own_names(configuration.settings);
  auto problems = reviewer.take();
  std::ranges::stable_sort(problems, {},
                           [](Problem const &problem) { return std::pair(problem.line, problem.column); });
  return problems;
}

}  // namespace imdsgate
