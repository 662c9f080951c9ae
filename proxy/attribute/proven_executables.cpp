#include "attribute/proven_executables.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "model/utf8.hpp"

namespace imdsgate {

namespace json = boost::json;

namespace {

constexpr std::int64_t kVersion = 1;

json::object to_object(ProcessId const &id, std::string const &path) {
  auto const &[executable, comm, stack_start, arg_start] = id.exec;
  return {{"tgid", id.tgid},           {"start_ticks", id.start_ticks}, {"device", executable.device},
          {"inode", executable.inode}, {"comm", comm},                  {"stack_start", stack_start},
          {"arg_start", arg_start},    {"path", path}};
}

// at() and as_…() throw where something is missing or of another kind.
std::pair<ProcessId, std::string> from_object(json::object const &object) {
  auto const number = [&](char const *key) { return object.at(key).to_number<std::uint64_t>(); };
  ProcessId id;
  id.tgid = object.at("tgid").to_number<pid_t>();
  id.start_ticks = number("start_ticks");
  id.exec = {{number("device"), number("inode")}, std::string(object.at("comm").as_string()), number("stack_start"), number("arg_start")};
  return {std::move(id), std::string(object.at("path").as_string())};
}

}  // namespace

void ProvenExecutables::apply(Process &process) {
  auto &executable = process.executable;
  if (!executable) return;
  if (executable->proven()) return note(process.id, executable->path);
  if (*executable->unproven != Unproven::exe_replaced) return;
  auto const known = noted_.find(process.id);
  if (known == noted_.end()) return;
  executable = Executable{known->second.path, true, std::nullopt};
  note(process.id, executable->path);
}

void ProvenExecutables::note(ProcessId const &id, std::string const &path) {
  auto const [place, is_new] = noted_.try_emplace(id, Noted{path, next_});
  changed_ = changed_ || is_new || place->second.path != path;
  if (!is_new) {
    by_order_.erase(place->second.order);
    place->second = {path, next_};
  }
  by_order_.emplace(next_++, id);
  if (noted_.size() <= kLimit) return;
  noted_.erase(by_order_.begin()->second);
  by_order_.erase(by_order_.begin());
}

void ProvenExecutables::withdraw(ProcessId const &id) {
  auto const known = noted_.find(id);
  if (known == noted_.end()) return;
  by_order_.erase(known->second.order);
  noted_.erase(known);
  changed_ = true;
}

std::vector<pid_t> ProvenExecutables::pids() const {
  std::vector<pid_t> list;
  for (auto const &[id, noted] : noted_) list.push_back(id.tgid);
  return list;
}

void ProvenExecutables::forget(std::vector<pid_t> const &ended) {
  std::erase_if(noted_, [&](auto const &each) {
    bool const gone = std::ranges::binary_search(ended, each.first.tgid);
    if (gone) by_order_.erase(each.second.order);
    return gone;
  });
}

std::string ProvenExecutables::to_json(std::string_view boot_id) const {
  json::array list;
  for (auto const &[order, id] : by_order_) {  // so that it is read in this order again
    auto const &path = noted_.at(id).path;
    if (!first_invalid_utf8(path) && !first_invalid_utf8(id.exec.comm)) list.push_back(to_object(id, path));
  }
  return json::serialize(json::object{{"version", kVersion}, {"boot_id", boot_id}, {"proven", std::move(list)}}) + '\n';
}

Result<ProvenExecutables> ProvenExecutables::parse(std::string_view text, std::string_view boot_id) {
  ProvenExecutables result;
  try {
    auto const document = json::parse(text);
    auto const &object = document.as_object();
    if (object.at("version") != kVersion) return Error{Errc::malformed, "it is of another version"};
    if (object.at("boot_id").as_string() != boot_id) return Error{Errc::not_found, "it is of another boot"};
    for (auto const &each : object.at("proven").as_array()) {
      auto const [id, path] = from_object(each.as_object());
      if (id.tgid <= 0 || !path.starts_with('/')) return Error{Errc::malformed, "no process has these values"};
      result.note(id, path);
    }
  } catch (std::exception const &error) {  // Boost.JSON's way to say that it is malformed
    return Error{Errc::malformed, error.what()};
  }
  result.changed_ = false;
  return result;
}

}  // namespace imdsgate
