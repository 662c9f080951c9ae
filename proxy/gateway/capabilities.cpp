#include "gateway/capabilities.hpp"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace imdsgate {
namespace {

struct Free {
  void operator()(void *pointer) const { ::cap_free(pointer); }
};
using Caps = std::unique_ptr<std::remove_pointer_t<cap_t>, Free>;

std::string name_of(int capability) {
  std::unique_ptr<char, Free> const name(::cap_to_name(static_cast<cap_value_t>(capability)));
  std::string text = name ? name.get() : std::to_string(capability);
  for (char &c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  return text;
}

}  // namespace

std::vector<std::string> missing_capabilities(std::vector<NeededCapability> const &needed) {
  Caps const caps(::cap_get_proc());
  std::vector<std::string> missing;
  for (auto const &[capability, what] : needed) {
    cap_flag_value_t set = CAP_CLEAR;
    if (caps) ::cap_get_flag(caps.get(), static_cast<cap_value_t>(capability), CAP_EFFECTIVE, &set);
    if (set == CAP_CLEAR) missing.push_back(name_of(capability) + " is missing: needed for " + what);
  }
  return missing;
}

Result<void> drop_start_up_capabilities() {
  std::vector<cap_value_t> const drop{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON};
  Caps const caps(::cap_get_proc());
  if (!caps) return Error{Errc::system, std::string("cap_get_proc: ") + std::strerror(errno)};
  for (auto const flag : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
    ::cap_set_flag(caps.get(), flag, static_cast<int>(drop.size()), drop.data(), CAP_CLEAR);
  }
  for (auto const capability : drop) {
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, static_cast<unsigned long>(capability), 0UL, 0UL);
  }
  if (::cap_set_proc(caps.get()) != 0) return Error{Errc::system, std::string("capset: ") + std::strerror(errno)};
  return {};
}

}  // namespace imdsgate
