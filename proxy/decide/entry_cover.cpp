#include "decide/entry_cover.hpp"

#include <algorithm>

#include "decide/ascii_case.hpp"
#include "decide/path_classes.hpp"
#include "decide/path_pattern.hpp"

namespace imdsgate {
namespace {

// A star of `wide` takes a star of `narrow` as it takes any text; what is literal in it never does.
bool glob_covers(std::string_view wide, std::string_view narrow, bool fold) {
  return segment_matches(wide, narrow, fold);
}

template <class List, class Test>
bool each_has_one(List const &narrow, List const &wide, Test const &test) {
  return std::ranges::all_of(narrow, [&](auto const &one) {
    return std::ranges::any_of(wide, [&](auto const &other) { return test(other, one); });
  });
}

bool value_covers(eql::Demand const &wide, eql::Demand::Text const &any, eql::Demand::Text const &one) {
  bool const fold = wide.folded;
  bool const same = fold ? equal_folded(any.text, one.text) : any.text == one.text;
  if (!any.pattern) return same && !one.pattern;
  if (any.text.find('?') != std::string::npos) return same;
  return glob_covers(any.text, one.text, fold);
}

bool demand_covers(eql::Demand const &wide, eql::Demand const &narrow) {
  if (narrow.folded && !wide.folded) return false;
  return each_has_one(narrow.any_of, wide.any_of,
                      [&](auto const &any, auto const &one) { return value_covers(wide, any, one); });
}

bool who_covers(PolicyEntry const &wide, PolicyEntry const &narrow) {
  if (!wide.when) return true;
  if (!narrow.when) return false;
  if (wide.when_text == narrow.when_text) return true;
  return wide.when->only_demands && std::ranges::all_of(wide.when->demands, [&](eql::Demand const &demand) {
           auto const same = std::ranges::find(narrow.when->demands, demand.field, &eql::Demand::field);
           return same != narrow.when->demands.end() && demand_covers(demand, *same);
         });
}

bool query_covers(PolicyEntry const &wide, PolicyEntry const &narrow) {
  auto const glob = [](std::string const &any, std::string const &one) {
    return glob_covers(any, one, false);
  };
  return std::ranges::all_of(wide.query, [&](QueryCondition const &condition) {
    auto const same = std::ranges::find(narrow.query, condition.key, &QueryCondition::key);
    if (same == narrow.query.end() || condition.values.empty() != same->values.empty()) return false;
    return each_has_one(same->values, condition.values, glob);
  });
}

// Such a read is given by an entry that names its parameter, or by one with all that is beneath the path.
bool names_recursive_read(PolicyEntry const &entry) {
  return std::ranges::any_of(entry.query, is_recursive_key, &QueryCondition::key);
}

bool endpoint_covers(EntryEndpoint const &wide, EntryEndpoint const &narrow) {
  return wide.address == narrow.address && (!wide.port || wide.port == narrow.port);
}

template <class List, class Test>
bool list_covers(List const &wide, List const &narrow, Test const &test) {
  return wide.empty() || (!narrow.empty() && each_has_one(narrow, wide, test));
}

// A ** of `narrow` as so many segments that nothing literal can be.
std::string with_segments(std::string_view narrow, std::size_t count) {
  std::string path;
  while (!narrow.empty() && narrow != "/") {
    auto const segment = take_segment(narrow);
    if (segment != "**") {
      path.append("/").append(segment);
    } else {
      for (std::size_t i = 0; i < count; ++i) path += "/\x01";
    }
  }
  return path.empty() ? "/" : path;
}

std::size_t double_stars(std::string_view pattern) {
  std::size_t count = 0;
  while (!pattern.empty() && pattern != "/") count += take_segment(pattern) == "**" ? 1 : 0;
  return count;
}
}  // namespace

// A ** that stands for none, one, … and for more segments than `wide` has is tried out: more than that can
// only be taken by a ** of `wide`. With two of them nobody is sure.
bool pattern_covers(std::string_view wide, std::string_view narrow) {
  if (wide == narrow || wide == "/**") return true;
  auto const stars = double_stars(narrow);
  if (stars > 1) return false;
  auto const most = stars == 0 ? 0 : static_cast<std::size_t>(std::ranges::count(wide, '/')) + 1;
  for (std::size_t count = 0; count <= most; ++count) {
    if (!path_matches(wide, with_segments(narrow, count))) return false;
  }
  return true;
}

bool covers(PolicyEntry const &earlier, EntryKind kind, PolicyEntry const &later) {
  auto const equal = [](std::string const &any, std::string const &one) { return any == one; };
  bool const reads_all =
      kind == EntryKind::allow && names_recursive_read(later) && !names_recursive_read(earlier);
  auto const path = [&](std::string const &any, std::string const &one) {
    return pattern_covers(any, reads_all ? subtree_of(one) : one);
  };
  bool const outlives = !earlier.expires || (later.expires && *earlier.expires >= *later.expires);
  bool const gives_more =
      kind == EntryKind::allow && ((later.allow_imdsv1 && !earlier.allow_imdsv1) ||
                                   (later.allow_foreign_token && !earlier.allow_foreign_token));
  return outlives && !gives_more && who_covers(earlier, later) &&
         list_covers(earlier.methods, later.methods, equal) &&
         list_covers(earlier.paths, later.paths, path) &&
         list_covers(earlier.endpoints, later.endpoints, endpoint_covers) && query_covers(earlier, later);
}

}  // namespace imdsgate
