// Requests and policies for the tests of decide/.
#pragma once

#include <string>
#include <vector>

#include "decide/decide.hpp"

namespace imdsgate {

// As a parser would hand it on: header_bytes hold what the fields say.
inline RawRequest raw_request(std::string method, std::string target, std::vector<Field> fields,
                              int version = 11) {
  RawRequest raw{std::move(method), std::move(target), version, std::move(fields), {}};
  raw.header_bytes = raw.method + ' ' + raw.target + (version == 11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (auto const &field : raw.fields) raw.header_bytes += field.name + ": " + field.value + "\r\n";
  raw.header_bytes += "\r\n";
  return raw;
}

inline RawRequest get(std::string target) {
  return raw_request("GET", std::move(target), {{"Host", "169.254.169.254"}});
}

inline PolicySet policies_for(Provider provider) {
  PolicyChoices choices;
  choices.provider = provider;
  choices.endpoints = {{Address::from_v4({169, 254, 169, 254}), 80},
                       {Address::parse("fd00:ec2::254").value(), 80}};
  return build_policies(choices);
}

inline constexpr Provider kEveryProvider[] = {Provider::ec2,      Provider::gce,        Provider::azure,
                                              Provider::ecs,      Provider::wireserver, Provider::oracle,
                                              Provider::openstack};

inline Policy const &policy_for(Provider provider) {
  static auto const sets = [] {
    std::vector<PolicySet> all;
    for (auto const each : kEveryProvider) all.push_back(policies_for(each));
    return all;
  }();
  return *sets[static_cast<std::size_t>(provider)].audit;
}

inline std::optional<Provider> provider_named(std::string_view name) {
  for (auto const each : kEveryProvider) {
    if (to_string(each) == name) return each;
  }
  return std::nullopt;
}

}  // namespace imdsgate
