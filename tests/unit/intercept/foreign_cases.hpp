// The tables of cases about rules of others: what is guarded, and how a line reads.
#pragma once

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "intercept/firewall.hpp"

namespace imdsgate::test {

inline FirewallSpec guarded_spec() {
  FirewallSpec spec;
  for (auto const &[address, port] : {std::pair("169.254.169.254", 80), std::pair("fd00:ec2::254", 80),
                                      std::pair("168.63.129.16", 80), std::pair("168.63.129.16", 32526)}) {
    spec.endpoints.push_back({*Address::parse(address), static_cast<std::uint16_t>(port)});
  }
  return spec;
}

inline FirewallSpec of_family(FirewallSpec spec, bool ipv6) {
  std::erase_if(spec.endpoints, [&](Endpoint const &endpoint) { return endpoint.address.is_v4() == ipv6; });
  return spec;
}

struct ForeignCase {
  int line;
  std::string family, place, rule, expected;
};

// Lines of "family place | rule => expected".
inline std::vector<ForeignCase> foreign_cases(std::string const &name) {
  std::ifstream file(std::string(FIXTURES) + "/intercept/" + name);
  std::vector<ForeignCase> result;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    auto const bar = line.find(" | "), arrow = line.find(" => ");
    ForeignCase each{number, "", "", line.substr(bar + 3, arrow - bar - 3), line.substr(arrow + 4)};
    std::istringstream(line.substr(0, bar)) >> each.family >> each.place;
    result.push_back(each);
  }
  return result;
}

}  // namespace imdsgate::test
