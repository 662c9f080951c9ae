// The words of the configuration file for each enum, shared by reading and showing. `auto` of a verdict is
// nullopt.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "gateway/settings.hpp"

namespace imdsgate {

template <class Enum>
using Words = std::initializer_list<std::pair<std::string_view, Enum>>;

inline const Words<Mode> kModes = {{"audit", Mode::audit}, {"enforce", Mode::enforce}};
inline const Words<std::optional<Provider>> kProviders = {
    {"auto", std::nullopt}, {"ec2", Provider::ec2}, {"gce", Provider::gce}, {"azure", Provider::azure}};
inline const Words<std::optional<Provider>> kServices = {{"ec2", Provider::ec2},
                                                         {"ecs", Provider::ecs},
                                                         {"gce", Provider::gce},
                                                         {"azure", Provider::azure},
                                                         {"wireserver", Provider::wireserver},
                                                         {"oracle", Provider::oracle},
                                                         {"openstack", Provider::openstack}};
inline const Words<OnStop> kOnStops = {
    {"auto", OnStop::automatic}, {"keep", OnStop::keep}, {"remove", OnStop::remove}};
inline const Words<Existing> kExistings = {
    {"refuse", Existing::refuse}, {"translate", Existing::translate}, {"ignore", Existing::ignore}};
inline const Words<Backend> kBackends = {
    {"auto", Backend::automatic}, {"nft", Backend::nft}, {"legacy", Backend::legacy}};
inline const Words<AttributionChoice> kAttributionChoices = {{"auto", AttributionChoice::automatic},
                                                             {"bpf", AttributionChoice::bpf},
                                                             {"sock_diag", AttributionChoice::sock_diag}};
inline const Words<ContainerApi> kContainerApis = {{"docker", ContainerApi::docker}, {"cri", ContainerApi::cri}};
inline const Words<std::optional<Verdict>> kVerdicts = {
    {"auto", std::nullopt}, {"allow", Verdict::allow}, {"alert", Verdict::alert}, {"block", Verdict::block}};
inline const Words<std::optional<Verdict>> kTokenBindings = {
    {"off", std::nullopt}, {"alert", Verdict::alert}, {"block", Verdict::block}};
inline const Words<TokenScope> kTokenScopes = {
    {"unit", TokenScope::unit}, {"session", TokenScope::session}, {"process", TokenScope::process}};
inline const Words<SinkSettings::Type> kSinkTypes = {{"file", SinkSettings::Type::file},
                                                     {"journald", SinkSettings::Type::journald},
                                                     {"syslog", SinkSettings::Type::syslog},
                                                     {"stdout", SinkSettings::Type::standard_output}};
inline const Words<PathClass> kClasses = {{"credentials", PathClass::credentials},
                                          {"identity", PathClass::identity},
                                          {"userdata", PathClass::userdata},
                                          {"writable", PathClass::writable},
                                          {"trust", PathClass::trust},
                                          {"general", PathClass::general}};

template <class Enum>
std::string_view word_for(Words<Enum> const &words, Enum value) {
  for (auto const &[word, its] : words) {
    if (its == value) return word;
  }
  return {};
}

}  // namespace imdsgate
