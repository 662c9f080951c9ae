#include "cli/intercept.hpp"

#include "cli/configuration.hpp"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "gateway/host_situation.hpp"
#include "intercept/firewall.hpp"
#include "intercept/listening.hpp"
#include "intercept/netns.hpp"

namespace imdsgate {
namespace {

struct Options {
  ConfigurationOption configuration;
  std::string netns;
  std::string backend;
  bool on_stop = false;
};

int fail(Error const &error) {
  std::cerr << "imdsgate: " << error.detail << '\n';
  return 1;
}

std::optional<FirewallBackend> backend_of(std::string const &option, Backend setting) {
  if (option == "nft") return FirewallBackend::nft;
  if (option == "legacy") return FirewallBackend::legacy;
  switch (setting) {
    case Backend::automatic: return std::nullopt;
    case Backend::nft: return FirewallBackend::nft;
    case Backend::legacy: return FirewallBackend::legacy;
  }
  return std::nullopt;
}

// Sets `exit_code` and answers nullopt when there is nothing to go on with.
std::optional<HostSituation> prepare(Options const &options, int &exit_code) {
  auto const configuration = options.configuration.load(ConfigurationOption::Warnings::leave_out);
  if (!configuration) {
    exit_code = 2;
    return std::nullopt;
  }
  exit_code = 1;
  if (!options.netns.empty()) {
    if (auto entered = enter_network_namespace(options.netns); !entered) {
      fail(entered.error());
      return std::nullopt;
    }
  }
  auto situation =
      situation_of(configuration->settings, backend_of(options.backend, configuration->settings.backend));
  if (!situation) {
    fail(situation.error());
    return std::nullopt;
  }
  return *std::move(situation);
}

void print_notes(std::vector<std::string> const &notes) {
  for (auto const &note : notes) std::cerr << "note: " << note << '\n';
}

void warn_if_nobody_listens(std::uint16_t port) {
  auto const listeners = listening_sockets(port);
  if (listeners && listeners->empty()) {
    std::cerr << "warning: nothing listens on port " << port
              << ": connections to the guarded endpoints are refused until the daemon runs\n";
  } else if (!listeners) {
    std::cerr << "warning: whether anything listens on port " << port
              << " is not known: " << listeners.error().detail << '\n';
  }
}

int install(Options const &options) {
  int exit_code = 0;
  auto const situation = prepare(options, exit_code);
  if (!situation) return exit_code;
  if (auto const &rules = situation->host_rules; !rules) {
    return fail({rules.error().code, "not installed: " + rules.error().detail});
  }
  print_notes(situation->host_rules->notes());
  std::vector<std::string> notes;
  auto const applied = apply_firewall(situation->spec, notes);
  print_notes(notes);
  if (!applied) return fail(applied.error());
  warn_if_nobody_listens(situation->spec.listen_port);
  return 0;
}

bool fence_stays(HostSituation const &situation, bool fence_in_place) {
  switch (situation.settings.on_stop) {
    case OnStop::keep: return true;
    case OnStop::remove: return false;
    case OnStop::automatic: return situation.settings.mode == Mode::enforce || fence_in_place;
  }
  return true;
}

// The redirect leads to nobody once the daemon is gone, so it is always taken out.
int stop(Options const &options) {
  int exit_code = 0;
  auto situation = prepare(options, exit_code);
  if (!situation) return exit_code;
  auto const status = firewall_status(situation->spec);
  bool fence_in_place = false;
  if (status) {
    for (auto const &family : status->families) fence_in_place = fence_in_place || family.fence;
  } else {
    // Not known is taken for yes: a fence too many is seen, one too few is not.
    std::cerr << "imdsgate: " << status.error().detail << '\n';
    fence_in_place = true;
  }
  situation->spec.redirect = false;
  situation->spec.fence = fence_stays(*situation, fence_in_place);
  std::vector<std::string> notes;
  auto const done = situation->spec.fence ? apply_firewall(situation->spec, notes) : remove_firewall();
  print_notes(notes);
  return done ? 0 : fail(done.error());
}

// Taking the rules away must work with a broken configuration too, so it is not read.
int remove(Options const &options) {
  if (!options.netns.empty()) {
    if (auto entered = enter_network_namespace(options.netns); !entered) return fail(entered.error());
  }
  auto const removed = remove_firewall();
  return removed ? 0 : fail(removed.error());
}

void print_family(FirewallStatus::Family const &family, FirewallSpec const &spec) {
  auto const line = [](char const *name, bool there, bool wanted) {
    std::cout << "  " << name << (there ? "in place" : "not in place");
    if (there != wanted) std::cout << (wanted ? ", should be" : ", should not be");
    std::cout << '\n';
  };
  std::cout << (family.ipv6 ? "IPv6" : "IPv4") << " ("
            << (family.backend == FirewallBackend::nft ? "nft" : "legacy")
            << " backend): " << (family.as_specified ? "as specified" : "NOT as specified") << '\n';
  bool endpoints = false;
  for (auto const &endpoint : spec.endpoints)
    endpoints = endpoints || endpoint.address.is_v4() != family.ipv6;
  line("redirect  ", family.redirect, spec.redirect && endpoints);
  line("fence     ", family.fence, spec.fence && endpoints);
  for (auto const &difference : family.differences) std::cout << "  - " << difference << '\n';
}

int status(Options const &options) {
  int exit_code = 0;
  auto const situation = prepare(options, exit_code);
  if (!situation) return exit_code;
  auto const status = firewall_status(situation->spec);
  if (!status) return fail(status.error());
  bool as_specified = !status->families.empty();
  for (auto const &family : status->families) {
    print_family(family, situation->spec);
    as_specified = as_specified && family.as_specified;
  }
  print_notes(status->notes);
  if (situation->host_rules) {
    print_notes(situation->host_rules->notes());
  } else {
    std::cerr << "imdsgate: " << situation->host_rules.error().detail << '\n';
  }
  return as_specified ? 0 : 1;
}

CLI::App *add_verb(CLI::App &app, std::shared_ptr<Options> const &options, char const *name,
                   char const *text) {
  auto *verb = app.add_subcommand(name, text);
  options->configuration.add_to(*verb);
  verb->add_option("--netns", options->netns, "another network namespace: a name of `ip netns`, or a path");
  verb->add_option("--backend", options->backend, "which iptables (what `iptables` itself runs)")
      ->check(CLI::IsMember({"nft", "legacy"}));
  return verb;
}

}  // namespace

void add_intercept(CLI::App &app, int &exit_code) {
  auto const options = std::make_shared<Options>();
  auto *intercept =
      app.add_subcommand("intercept", "the firewall rules that lead metadata traffic to the gateway");
  intercept->require_subcommand(1);
  add_verb(*intercept, options, "install",
           "put the rules in place; refuses where rules of others are in the way")
      ->callback([options, &exit_code] { exit_code = install(*options); });
  auto *removal = add_verb(*intercept, options, "remove", "take the rules out, and nothing else");
  removal->add_flag("--on-stop", options->on_stop, "leave what the configuration's on_stop says");
  removal->callback(
      [options, &exit_code] { exit_code = options->on_stop ? stop(*options) : remove(*options); });
  add_verb(*intercept, options, "status",
           "compare what is in place with what should be; exit 0 when it is the same")
      ->callback([options, &exit_code] { exit_code = status(*options); });
}

}  // namespace imdsgate
