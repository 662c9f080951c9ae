// Tables of tests/fixtures/decide: `case => result`, one a line; # starts a comment line.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace imdsgate {

struct Row {
  int line = 0;
  std::vector<std::string> given;  // the words before =>
  std::string result;              // all that is behind it
  std::string text;
};

inline std::string trimmed(std::string_view text) {
  auto const first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

inline std::vector<std::string> words(std::string const &text) {
  std::istringstream stream(text);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}

inline std::vector<Row> table(std::string const &file) {
  std::string path(FIXTURES);
  path.append("/decide/").append(file);
  std::ifstream stream(path);
  EXPECT_TRUE(stream) << file;
  std::vector<Row> rows;
  std::string text;
  for (int line = 1; std::getline(stream, text); ++line) {
    if (text.empty() || text.front() == '#') continue;
    auto const arrow = text.find(" => ");
    if (arrow == std::string::npos) {
      ADD_FAILURE() << file << ':' << line << ": no =>";
      continue;
    }
    rows.push_back({line, words(text.substr(0, arrow)), trimmed(text.substr(arrow + 4)), text});
  }
  EXPECT_FALSE(rows.empty()) << file;
  return rows;
}

// \r \n \t \s (a space) \\ and \xHH
inline std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      plain.push_back(text[i]);
      continue;
    }
    switch (text[++i]) {
      case 'r': plain.push_back('\r'); break;
      case 'n': plain.push_back('\n'); break;
      case 't': plain.push_back('\t'); break;
      case 's': plain.push_back(' '); break;
      case 'x':
        plain.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
        i += 2;
        break;
      default: plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace imdsgate
