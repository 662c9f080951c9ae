#include "gateway/dmi.hpp"

#include <fstream>
#include <string>

namespace imdsgate {
namespace {

std::string first_line(std::filesystem::path const &file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
  return line;
}
}  // namespace

// A vendor's name is not enough where it sells machines too: "Google" also makes laptops, "Microsoft
// Corporation" is any Hyper-V guest. Xen instances of EC2 say Amazon in their versions only.
std::optional<Provider> provider_by_dmi(std::filesystem::path const &dmi) {
  for (auto const *file : {"sys_vendor", "board_vendor", "bios_vendor"}) {
    if (first_line(dmi / file) == "Amazon EC2") return Provider::ec2;
  }
  for (auto const *file : {"bios_version", "product_version"}) {
    if (first_line(dmi / file).ends_with(".amazon")) return Provider::ec2;
  }
  if (first_line(dmi / "product_name") == "Google Compute Engine") return Provider::gce;
  if (first_line(dmi / "chassis_asset_tag") == "7783-7084-3265-9085-8269-3286-77") return Provider::azure;
  return std::nullopt;
}

}  // namespace imdsgate
