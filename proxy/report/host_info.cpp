#include "report/host_info.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <fstream>
#include <random>

namespace imdsgate {
namespace {

// The first line of a file, if it looks like an id; empty otherwise. systemd writes "uninitialized" into
// machine-id on a first boot, and some firmware fills the UUID with one repeated digit.
std::string read_id(std::filesystem::path const &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  auto const hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  if (std::ranges::count_if(line, hex) != 32) return {};
  if (!std::ranges::all_of(line, [&](char c) { return hex(c) || c == '-'; })) return {};
  char const first = line.front();
  if (std::ranges::all_of(line, [&](char c) { return c == first || c == '-'; })) return {};
  std::ranges::transform(line, line.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  return line;
}

}  // namespace

Result<HostInfo> read_host_info(Provider provider, std::filesystem::path const &root) {
  HostInfo host;
  host.provider = provider;
  for (auto const *path :
       {"etc/machine-id", "sys/class/dmi/id/product_uuid", "proc/sys/kernel/random/boot_id"}) {
    host.id = read_id(root / path);
    if (!host.id.empty()) break;
  }
  if (host.id.empty()) {
    return Error{Errc::not_found,
                 "no host id: neither /etc/machine-id, the DMI product UUID nor the boot id is there"};
  }
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) host.name = name.data();
  return host;
}

std::string new_event_id() {
  // Drawn in blocks: the system call costs more than the rest.
  static thread_local std::array<unsigned char, 256> block;
  static thread_local std::size_t used = block.size();
  static thread_local std::uint64_t fallback = 0;
  if (used == block.size()) {
    used = 0;
    // Reads of up to 256 bytes are neither interrupted nor short (getrandom(2)). Should the call be filtered
    // out, the clock, the pid and a counter keep ids distinct.
    if (getrandom(block.data(), block.size(), 0) != static_cast<ssize_t>(block.size())) {
      auto const now =
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
      std::mt19937_64 generator(now ^ static_cast<std::uint64_t>(getpid()) << 40 ^ ++fallback);
      for (auto &byte : block) byte = static_cast<unsigned char>(generator());
    }
  }
  std::array<unsigned char, 16> bytes{};
  std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(used), bytes.size(), bytes.begin());
  used += bytes.size();
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

}  // namespace imdsgate
