#include "intercept/xtables.hpp"

#include <fcntl.h>
#include <sys/capability.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>
#include <sstream>

#include "intercept/command.hpp"
#include "intercept/descriptor.hpp"

namespace imdsgate {
namespace {

constexpr char const *kFamilyNames[] = {"iptables", "ip6tables"};

// What iptables -V calls its backend; before 1.8 there was only one, and it did not say.
Result<FirewallBackend> backend_of(std::string const &program) {
  auto const output = Command({program, "--version"}).run();
  if (!output) return output.error();
  return output->out.find("nf_tables") != output->out.npos ? FirewallBackend::nft : FirewallBackend::legacy;
}

// "iptables-nft-save", or "iptables-save" where that one is of this backend.
std::optional<std::string> program_of(FirewallBackend backend, bool ipv6, std::string const &suffix) {
  std::string const family = kFamilyNames[ipv6];
  if (auto named = find_program(family + '-' + std::string(to_string(backend)) + suffix)) return named;
  auto plain = find_program(family + suffix);
  if (!plain) return std::nullopt;
  auto const its = backend_of(*plain);
  return its && *its == backend ? plain : std::nullopt;
}

// The kernel's lists of the tables in use (mode 0440), held since they could be opened; of IPv4 and of IPv6.
std::array<Descriptor, 2> held_lists;

std::string list_path(bool ipv6) {
  return std::string("/proc/thread-self/net/") + (ipv6 ? "ip6" : "ip") + "_tables_names";
}

Descriptor open_list(bool ipv6) { return Descriptor(::open(list_path(ipv6).c_str(), O_RDONLY | O_CLOEXEC)); }

std::optional<std::string> list_of_tables(bool ipv6) {
  auto const fresh = held_lists[ipv6] ? Descriptor() : open_list(ipv6);
  int const list = held_lists[ipv6] ? held_lists[ipv6].get() : fresh.get();
  std::array<char, 4096> bytes;  // five names are known
  if (list < 0 || ::lseek(list, 0, SEEK_SET) != 0) return std::nullopt;
  auto const size = ::read(list, bytes.data(), bytes.size());
  return size < 0 ? std::nullopt : std::optional(std::string(bytes.data(), static_cast<std::size_t>(size)));
}

// The legacy tables in use in this network namespace: the kernel's list, or those whose module is loaded.
Result<std::vector<std::string>> legacy_tables(bool ipv6, std::span<std::string_view const> fallback) {
  std::string const path = list_path(ipv6);
  std::vector<std::string> tables;
  if (::access(path.c_str(), F_OK) != 0) return tables;
  std::string line;
  // Read rather than asked for with access(2), which leaves the capabilities out of account.
  if (auto const listed = list_of_tables(ipv6)) {
    std::istringstream names(*listed);
    while (std::getline(names, line)) tables.push_back(line);
    return tables;
  }
  bool module = false;
  std::string const prefix = ipv6 ? "ip6table_" : "iptable_";
  std::ifstream modules("/proc/modules");
  while (std::getline(modules, line)) {
    auto const name = line.substr(0, line.find(' '));
    if (name == (ipv6 ? "ip6_tables" : "ip_tables")) module = true;
    if (name.starts_with(prefix)) tables.push_back(name.substr(prefix.size()));
  }
  if (module) return tables;
  // Built into the kernel: no trace of which tables are in use that this process may read.
  tables.assign(fallback.begin(), fallback.end());
  if (fallback.empty()) {
    return Error{Errc::unreadable, path + " is readable for root alone, so the legacy tables are unknown"};
  }
  return tables;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (auto &c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

// Root's programs get what root has; anyone else's get what is ambient (capabilities(7)).
bool hands_on(cap_t capabilities, cap_value_t value) {
  cap_flag_value_t effective = CAP_CLEAR;
  cap_get_flag(capabilities, value, CAP_EFFECTIVE, &effective);
  if (effective != CAP_SET) return false;
  return (::geteuid() == 0 ? cap_get_bound(value) : cap_get_ambient(value)) == 1;
}

}  // namespace

std::string_view to_string(FirewallBackend backend) {
  switch (backend) {
    case FirewallBackend::nft: return "nft";
    case FirewallBackend::legacy: return "legacy";
  }
  return "";
}

Result<FirewallBackend> default_backend() {
  auto const program = find_program("iptables");
  if (!program) return Error{Errc::not_found, "iptables is not installed"};
  return backend_of(*program);
}

void hold_legacy_lists() {
  for (bool const ipv6 : {false, true}) held_lists[ipv6] = open_list(ipv6);
}

bool legacy_tables_in_use() {
  for (bool const ipv6 : {false, true}) {
    auto const tables = legacy_tables(ipv6, {});
    if (!tables || !tables->empty()) return true;
  }
  return false;
}

bool has_ipv6() {
  return ::access("/proc/thread-self/net/if_inet6", F_OK) == 0;
}

std::optional<std::string> missing_capability(FirewallBackend backend) {
  std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void *)> const capabilities(cap_get_proc(),
                                                                                    &cap_free);
  if (!capabilities) return std::nullopt;
  if (!hands_on(capabilities.get(), CAP_NET_ADMIN)) {
    return "CAP_NET_ADMIN is missing: it is needed to read and change the firewall";
  }
  if (backend == FirewallBackend::legacy && !hands_on(capabilities.get(), CAP_NET_RAW)) {
    return "CAP_NET_RAW is missing: it is needed for the raw socket that legacy iptables opens";
  }
  return std::nullopt;
}

Result<Xtables> Xtables::open(FirewallBackend backend, bool ipv6) {
  auto save = program_of(backend, ipv6, "-save");
  auto restore = program_of(backend, ipv6, "-restore");
  if (!save || !restore) {
    return Error{Errc::not_found, std::string(kFamilyNames[ipv6]) + '-' + std::string(to_string(backend)) +
                                      " is not installed"};
  }
  return Xtables(backend, ipv6, std::move(*save), std::move(*restore));
}

std::string Xtables::name() const {
  return std::string(kFamilyNames[ipv6_]) + '-' + std::string(to_string(backend_));
}

Error Xtables::explain(std::string const &program, int exit_code, std::string printed) const {
  std::string text = program + " failed (" + std::to_string(exit_code) + ")";
  if (auto missing = missing_capability(backend_)) text += ": " + *missing;
  printed = trimmed(std::move(printed));
  if (printed.find("xtables lock") != printed.npos)
    text += ": another program held the xtables lock for 5 seconds";
  if (!printed.empty()) text += ": " + printed;
  return Error{Errc::system, text};
}

Result<SavedRules> Xtables::save(std::span<std::string_view const> fallback) const {
  std::vector<std::vector<std::string>> runs{{save_}};
  if (backend_ == FirewallBackend::legacy) {
    auto const tables = legacy_tables(ipv6_, fallback);
    if (!tables) return tables.error();
    // One by one: asked for all, iptables-legacy-save opens that list itself, and prints nothing, and no error, to
    // whoever may not.
    runs.clear();
    for (auto const &name : *tables) runs.push_back({save_, "-t", name});
  }
  std::string text;
  for (auto const &argv : runs) {
    auto const output = Command(argv).run();
    if (!output) return output.error();
    if (output->exit_code != 0) return explain(save_, output->exit_code, output->err);
    text += output->out;
  }
  return parse_saved_rules(text);
}

Result<void> Xtables::restore(std::string const &input) const {
  auto const output = Command({restore_, "--noflush", "-w", "5"}).input(input).run();
  if (!output) return output.error();
  if (output->exit_code != 0) return explain(restore_, output->exit_code, output->err + output->out);
  return {};
}

}  // namespace imdsgate
