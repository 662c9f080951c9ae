// The tables of tests/fixtures/eql: a case a line, its columns split at " => ".
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace imdsgate {

struct FixtureLine {
  int number;
  std::vector<std::string> columns;
};

inline std::vector<std::string> split(std::string const &text, std::string const &at) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from != std::string::npos;) {
    auto const next = text.find(at, from);
    parts.push_back(text.substr(from, next == std::string::npos ? next : next - from));
    from = next == std::string::npos ? next : next + at.size();
  }
  return parts;
}

// The lines that are no comment.
inline std::vector<FixtureLine> fixture_table(std::string const &name) {
  std::ifstream file(FIXTURES "/eql/" + name);
  EXPECT_TRUE(file) << name;
  std::vector<FixtureLine> lines;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.empty() || text.starts_with("#")) continue;
    lines.push_back({number, split(text, " => ")});
    EXPECT_EQ(lines.back().columns.size(), 3u) << name << ':' << number;
  }
  return lines;
}

// ⏎ is a newline.
inline std::string with_newlines(std::string text) {
  constexpr std::string_view kNewline = "⏎";
  for (std::size_t at; (at = text.find(kNewline)) != std::string::npos;)
    text.replace(at, kNewline.size(), "\n");
  return text;
}

}  // namespace imdsgate
