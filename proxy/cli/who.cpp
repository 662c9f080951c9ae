#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstring>
#include <iostream>
#include <memory>
#include <set>

#include "cli/cli.hpp"
#include "cli/configuration.hpp"
#include "cli/event_files.hpp"
#include "intercept/descriptor.hpp"
#include "replay/line_reader.hpp"
#include "report/json_writer.hpp"

namespace imdsgate {
namespace {

namespace json = boost::json;

struct Options {
  ConfigurationOption configuration;
  std::string key;
  std::vector<std::string> files;
  bool as_json = false;
};

bool hands_out(json::value const &event, std::string_view key) {
  for (auto const *field : {"access_key_id", "client_id", "service_account"}) {
    if (text_at(event, std::string("imdsgate.credential.") + field) == key) return true;
  }
  return false;
}

// One line for people; what a terminal would act on is escaped, as the events have it.
std::string told(json::value const &event) {
  std::string line;
  append_escaped(line, text_at(event, "@timestamp"));
  auto const add = [&](std::string_view label, std::string value) {
    if (value.empty()) return;
    std::string escaped;
    append_escaped(escaped, value);
    bool const plain = escaped == value && value.find(' ') == value.npos;
    line.append(2, ' ').append(label).append(1, '=').append(plain ? escaped : '"' + escaped + '"');
  };
  add("process", text_at(event, "process.name"));
  add("pid", text_at(event, "process.pid"));
  add("executable", text_at(event, "process.executable"));
  auto user = text_at(event, "user.name");
  add("user", user.empty() ? text_at(event, "user.id") : std::move(user));
  add("unit", text_at(event, "imdsgate.unit"));
  add("container", text_at(event, "container.id"));
  auto parent = text_at(event, "process.parent.executable");
  add("parent", parent.empty() ? text_at(event, "process.parent.name") : std::move(parent));
  add("path", text_at(event, "url.path"));
  add("verdict", text_at(event, "imdsgate.verdict"));
  add("expires", text_at(event, "imdsgate.credential.expiration"));
  add("host", text_at(event, "host.name"));
  return line;
}

// The line as it was written, but for what a terminal would act on: in JSON that stands within a string, where an
// escape means the same; a tab or a carriage return can only stand between.
std::string shown(std::string_view line) {
  std::string text;
  for (;;) {
    auto const at = line.find_first_of("\"\\<\t\r");
    append_escaped(text, line.substr(0, at));
    if (at == line.npos) return text;
    text += line[at] == '\t' || line[at] == '\r' ? ' ' : line[at];
    line.remove_prefix(at + 1);
  }
}

class Search {
 public:
  explicit Search(Options const &options) : options_(options) {}

  void read(std::string const &file) {
    Descriptor const descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0) return fail(file + ": " + std::string(std::strerror(errno)));
    LineReader lines(descriptor.get());
    std::size_t unreadable = 0;
    for (auto line = lines.next();; line = lines.next()) {
      if (!line) return fail(file + ": " + line.error().detail);
      if (!*line) break;
      if (!consider((*line)->text)) ++unreadable;
    }
    if (unreadable == 0) return;
    std::cerr << "imdsgate: " << file << ": " << unreadable << (unreadable == 1 ? " line is" : " lines are")
              << " no event and could not be searched\n";
  }
  int exit_status() const { return failed_ ? 1 : found_ ? 0 : 1; }

 private:
  void fail(std::string const &text) {
    std::cerr << "imdsgate: " << text << '\n';
    failed_ = true;
  }

  // False: it is no event. A request's event and its alert are one hand-out: whichever comes first is told.
  bool consider(std::string_view line) {
    if (line.empty()) return true;
    json::monotonic_resource memory(memory_, sizeof memory_);
    boost::system::error_code code;
    auto const event = json::parse(line, code, &memory);
    if (code || !event.is_object()) return false;
    if (hands_out(event, options_.key)) tell(event, line);
    return true;
  }

  void tell(json::value const &event, std::string_view line) {
    auto request = text_at(event, "imdsgate.request_event_id");
    if (request.empty()) request = text_at(event, "event.id");
    if (!request.empty() && !told_.insert(request).second) return;
    found_ = true;
    std::cout << (options_.as_json ? shown(line) : told(event)) << '\n';
  }

  Options const &options_;
  unsigned char memory_[64 << 10];  // of a line's values; a longer one takes more
  std::set<std::string> told_;
  bool found_ = false, failed_ = false;
};

int who(Options const &options) {
  auto files = options.files;
  if (files.empty()) {
    auto const configuration = options.configuration.load(ConfigurationOption::Warnings::leave_out);
    if (!configuration) return 2;
    files = event_files(configuration->settings.sinks);
    if (files.empty()) {
      std::cerr << "imdsgate: no sink of the configuration has written a file; name the files with events\n";
      return 2;
    }
  }
  Search search(options);
  for (auto const &file : files) search.read(file);
  return search.exit_status();
}

}  // namespace

void add_who(CLI::App &app, int &exit_code) {
  auto const options = std::make_shared<Options>();
  auto *command = app.add_subcommand("who", "Who was handed the credential with this key id");
  options->configuration.add_to(*command);
  command->add_option("KEY", options->key, "An access key id (ASIA…), a client id or a service account, whole")
      ->required()
      ->check([](std::string const &key) { return key.empty() ? "an empty key is nobody's" : std::string(); });
  command->add_option("EVENTS", options->files, "Files with events; default: those of the configuration's file sinks, rotated ones too");
  command->add_flag("--json", options->as_json, "Print the events as they are");
  command->footer("Exit status: 0 found, 1 not found or a file could not be read, 2 usage or configuration error.");
  command->callback([options, &exit_code] { exit_code = who(*options); });
}

}  // namespace imdsgate
