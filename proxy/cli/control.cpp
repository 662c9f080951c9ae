#include <boost/json/serialize.hpp>
#include <iostream>
#include <memory>

#include "cli/cli.hpp"
#include "cli/configuration.hpp"
#include "gateway/control.hpp"

namespace imdsgate {
namespace {

struct Options {
  ConfigurationOption configuration;
  std::string mode;
  bool json = false;
};

// "name: value", nested objects indented: for people. --json is for programs.
void print(boost::json::object const &object, std::string const &indent) {
  for (auto const &[key, value] : object) {
    if (key == "ok") continue;
    std::cout << indent << key << ':';
    if (value.is_object()) {
      std::cout << '\n';
      print(value.get_object(), indent + "  ");
    } else if (value.is_string()) {
      std::cout << ' ' << std::string_view(value.get_string()) << '\n';
    } else {
      std::cout << ' ' << boost::json::serialize(value) << '\n';
    }
  }
}

int ask(Options const &options, boost::json::object const &command) {
  // For its control.socket only: that the rest has errors is the daemon's to say, which keeps its old policy.
  auto const configuration = load_configuration(options.configuration.path(), options.configuration.named());
  auto const reply = ask_daemon(configuration.settings.control_socket, command);
  if (!reply) {
    std::cerr << "imdsgate: " << reply.error().detail << '\n';
    return 1;
  }
  bool const ok = reply->contains("ok") && reply->at("ok") == true;
  if (options.json) {
    std::cout << boost::json::serialize(*reply) << '\n';
  } else if (ok) {
    print(*reply, "");
  } else if (auto const *error = reply->if_contains("error"); error != nullptr && error->is_string()) {
    std::cerr << "imdsgate: " << std::string_view(error->get_string()) << '\n';
    for (auto const &problem : reply->contains("problems") ? reply->at("problems").as_array() : boost::json::array{}) {
      std::cerr << std::string_view(problem.as_string()) << '\n';
    }
  }
  return ok ? 0 : 1;
}

CLI::App *add_command(CLI::App &app, std::string const &name, std::string const &description,
                      std::shared_ptr<Options> const &options) {
  auto *command = app.add_subcommand(name, description);
  options->configuration.add_to(*command);
  command->add_flag("--json", options->json, "Print the daemon's answer as JSON");
  return command;
}

}  // namespace

void add_control(CLI::App &app, int &exit_code) {
  auto const status = std::make_shared<Options>();
  add_command(app, "status", "What the running daemon is doing", status)->callback([status, &exit_code] {
    exit_code = ask(*status, {{"command", "status"}});
  });

  auto const mode = std::make_shared<Options>();
  auto *mode_command = add_command(app, "mode", "Show or change the mode of the running daemon", mode);
  mode_command->add_option("MODE", mode->mode, "audit or enforce")->check(CLI::IsMember({"audit", "enforce"}));
  mode_command->callback([mode, &exit_code] {
    boost::json::object command{{"command", "mode"}};
    if (!mode->mode.empty()) command["mode"] = mode->mode;
    exit_code = ask(*mode, command);
  });

  auto const reload = std::make_shared<Options>();
  add_command(app, "reload", "Make the running daemon read its configuration again", reload)
      ->callback([reload, &exit_code] { exit_code = ask(*reload, {{"command", "reload"}}); });
}

}  // namespace imdsgate
