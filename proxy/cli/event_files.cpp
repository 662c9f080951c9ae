#include "cli/event_files.hpp"

#include <boost/json/serialize.hpp>
#include <filesystem>

namespace imdsgate {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

// As rotation names them, the oldest first: events.2.ndjson, events.1.ndjson, events.ndjson.
std::vector<std::string> with_rotated(SinkSettings const &sink) {
  std::vector<std::string> files;
  fs::path const path(sink.path);
  for (unsigned number = sink.keep; number > 0; --number) {
    auto name = path.stem();
    name += '.' + std::to_string(number);
    name += path.extension();
    auto const file = path.parent_path() / name;
    if (fs::exists(file)) files.push_back(file.string());
  }
  if (fs::exists(path)) files.push_back(path.string());
  return files;
}

}  // namespace

std::vector<std::string> event_files(std::vector<SinkSettings> const &sinks) {
  std::vector<std::string> files;
  for (auto const &sink : sinks) {
    if (sink.type != SinkSettings::Type::file) continue;
    for (auto &file : with_rotated(sink)) files.push_back(std::move(file));
  }
  return files;
}

std::string text_at(json::value const &event, std::string_view dotted) {
  json::value const *here = &event;
  while (true) {
    auto const dot = dotted.find('.');
    auto const *object = here->if_object();
    here = object ? object->if_contains(dotted.substr(0, dot)) : nullptr;
    if (here == nullptr) return {};
    if (dot == dotted.npos) break;
    dotted.remove_prefix(dot + 1);
  }
  if (auto const *string = here->if_string()) return std::string(*string);
  return here->is_object() || here->is_array() || here->is_null() ? std::string() : json::serialize(*here);
}

}  // namespace imdsgate
