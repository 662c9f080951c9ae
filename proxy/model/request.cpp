#include "model/request.hpp"

#include <algorithm>

namespace imdsgate {
namespace {
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
}  // namespace

std::optional<std::string_view> RawRequest::field(std::string_view wanted) const {
  auto const same = [](char a, char b) { return lower(a) == lower(b); };
  for (auto const &field : fields) {
    if (std::ranges::equal(field.name, wanted, same)) return field.value;
  }
  return std::nullopt;
}

std::string_view to_string(Provider provider) {
  switch (provider) {
    case Provider::ec2: return "ec2";
    case Provider::gce: return "gce";
    case Provider::azure: return "azure";
    case Provider::ecs: return "ecs";
    case Provider::wireserver: return "wireserver";
    case Provider::oracle: return "oracle";
    case Provider::openstack: return "openstack";
  }
  __builtin_unreachable();
}

std::string_view cloud_provider(Provider provider) {
  switch (provider) {
    case Provider::ec2: return "aws";
    case Provider::gce: return "gcp";
    case Provider::azure: return "azure";
    case Provider::ecs: return "aws";
    case Provider::wireserver: return "azure";
    case Provider::oracle: return "oracle";
    case Provider::openstack: return "openstack";
  }
  __builtin_unreachable();
}

std::string_view to_string(PathClass path_class) {
  switch (path_class) {
    case PathClass::general: return "general";
    case PathClass::trust: return "trust";
    case PathClass::writable: return "writable";
    case PathClass::userdata: return "userdata";
    case PathClass::identity: return "identity";
    case PathClass::credentials: return "credentials";
  }
  __builtin_unreachable();
}

std::string_view to_string(ImdsVersion version) {
  switch (version) {
    case ImdsVersion::v1: return "v1";
    case ImdsVersion::v2: return "v2";
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
