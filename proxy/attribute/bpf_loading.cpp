#include "attribute/bpf_loading.hpp"

#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#include "attribute/pid_namespace.hpp"

namespace imdsgate {
namespace {

std::string complaint;

int keep_complaint(libbpf_print_level level, char const *format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string_view text(line.data());
  text = text.substr(0, text.find('\n'));
  if (complaint.empty() && !text.empty()) complaint = text;
  return 0;
}

}  // namespace

Result<void> prepare_bpf() {
  complaint.clear();
  libbpf_set_print(keep_complaint);
  if (!in_initial_pid_namespace()) {
    return Error{Errc::refused, "the kernel counts processes otherwise than this pid namespace does"};
  }
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return Error{Errc::not_found, "the kernel has no BTF (/sys/kernel/btf/vmlinux)"};
  }
  return {};
}

Error bpf_failure(char const *what, int error) {
  std::string text = std::string(what) + ": " + std::strerror(error);
  if (error == EPERM) text += " (CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed)";
  if (!complaint.empty()) text += "; " + complaint;
  return {Errc::system, std::move(text)};
}

}  // namespace imdsgate
