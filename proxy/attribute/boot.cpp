#include "attribute/boot.hpp"

#include <unistd.h>

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/string_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <fstream>

namespace imdsgate {
namespace {

std::chrono::system_clock::time_point boot_time() {
  std::ifstream file("/proc/stat");
  std::string key;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) {
      return std::chrono::system_clock::time_point(std::chrono::seconds(std::stoll(line.substr(6))));
    }
  }
  return {};
}

}  // namespace

Boot::Boot() : time_(boot_time()) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, id_);
}

void Boot::rename(Process &process, pid_t tgid, std::uint64_t start_ticks) const {
  process.id.tgid = tgid;
  process.id.start_ticks = start_ticks;
  process.entity_id = entity_id(process.id);
  auto const ticks_a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  process.start = time_ + std::chrono::milliseconds(start_ticks * 1000 / ticks_a_second);
}

std::string Boot::entity_id(ProcessId const &id) const {
  // A UUIDv5 (RFC 9562 §5.5) in a name space of our own.
  static boost::uuids::uuid const space =
      boost::uuids::string_generator()("6f2b7c1e-52c5-4f0a-9a6e-0d6a8f3d1c47");
  boost::uuids::name_generator_sha1 const generate(space);
  return boost::uuids::to_string(
      generate(id_ + '|' + std::to_string(id.tgid) + '|' + std::to_string(id.start_ticks)));
}

}  // namespace imdsgate
