// What was asked for that the catalogue does not know, for `doctor`: such a path gets the class general, whatever lies
// behind it. Pure; the loop's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "model/event.hpp"

namespace imdsgate {

struct UnknownPath {
  Provider provider = Provider::ec2;
  std::string method, path;  // redacted as in the events, and cut
  std::uint64_t count = 0;
  std::chrono::system_clock::time_point last{};
  std::string last_by;  // "curl (pid 4, uid 1001)"; empty: nobody could be named
};

class UnknownPaths {
 public:
  static constexpr std::size_t kPaths = 256;
  static constexpr std::size_t kPathBytes = 256;
  static constexpr std::size_t kMethodBytes = 32;

  void count(RequestEvent const &event);  // others than of unknown paths change nothing
  std::vector<UnknownPath> most_asked_first() const;
  // Paths that had to make room: the one asked for least, of those the one that was longest ago.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  std::map<std::tuple<Provider, std::string, std::string>, UnknownPath> paths_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace imdsgate
