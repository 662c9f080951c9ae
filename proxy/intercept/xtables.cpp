#include "intercept/xtables.hpp"

#include <sys/capability.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "intercept/command.hpp"

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

// The legacy tables in use in this network namespace. `listed`: the kernel said so; else they are those whose
// module is loaded, because the list is for root's eyes (mode 0440) and iptables-legacy-save prints nothing,
// and no error, to anyone else.
struct LegacyTables {
  bool listed = true;
  std::vector<std::string> names;
};

Result<LegacyTables> legacy_tables(bool ipv6, std::span<std::string_view const> fallback) {
  std::string const path = std::string("/proc/thread-self/net/") + (ipv6 ? "ip6" : "ip") + "_tables_names";
  LegacyTables tables;
  if (::access(path.c_str(), F_OK) != 0) return tables;
  std::string line;
  // Opened rather than asked for with access(2), which leaves the capabilities out of account.
  if (std::ifstream names(path); names) {
    while (std::getline(names, line)) tables.names.push_back(line);
    return tables;
  }
  tables.listed = false;
  bool module = false;
  std::string const prefix = ipv6 ? "ip6table_" : "iptable_";
  std::ifstream modules("/proc/modules");
  while (std::getline(modules, line)) {
    auto const name = line.substr(0, line.find(' '));
    if (name == (ipv6 ? "ip6_tables" : "ip_tables")) module = true;
    if (name.starts_with(prefix)) tables.names.push_back(name.substr(prefix.size()));
  }
  if (module) return tables;
  // Built into the kernel: no trace of which tables are in use that this process may read.
  tables.names.assign(fallback.begin(), fallback.end());
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
    if (tables->names.empty() || !tables->listed) runs.clear();
    for (auto const &name : tables->names) {
      if (!tables->listed) runs.push_back({save_, "-t", name});
    }
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
