// An event's line, and its fields.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "report/ecs.hpp"
#include "sample_event.hpp"

namespace imdsgate::testing {

inline boost::json::value line_of(RequestEvent const &event, EventKind kind = EventKind::event) {
  return boost::json::parse(to_ecs(event, sample_host(), kind));
}

// Every field of the document as "dotted.name=value", arrays as JSON.
inline void flatten(boost::json::value const &document, std::string const &prefix, std::map<std::string, std::string> &out) {
  if (auto const *object = document.if_object()) {
    for (auto const &member : *object) {
      std::string name = prefix.empty() ? "" : prefix + '.';
      name.append(member.key().data(), member.key().size());
      EXPECT_FALSE(out.contains(name)) << "twofold key " << name;
      flatten(member.value(), name, out);
    }
  } else {
    out[prefix] = boost::json::serialize(document);
  }
}

inline std::map<std::string, std::string> fields(RequestEvent const &event, EventKind kind = EventKind::event) {
  std::map<std::string, std::string> out;
  flatten(line_of(event, kind), "", out);
  return out;
}

}  // namespace imdsgate::testing
