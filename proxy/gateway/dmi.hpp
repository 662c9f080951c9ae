// Which cloud this machine is in, by what its firmware says (SMBIOS, through /sys/class/dmi/id).
#pragma once

#include <filesystem>
#include <optional>

#include "model/request.hpp"

namespace imdsgate {

// nullopt: no cloud that is known here. Needs no privilege: only files that everybody may read.
std::optional<Provider> provider_by_dmi(std::filesystem::path const &dmi);

}  // namespace imdsgate
