#include "attribute/proc_parse.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace imdsgate {
namespace {

template <class T>
bool to_number(std::string_view text, T &value) {
  auto const [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc{} && end == text.data() + text.size();
}

// Takes the next field up to a separator; white space before it is skipped.
std::string_view next_field(std::string_view &text) {
  auto const from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(from);
  auto const field = text.substr(0, text.find_first_of(" \t\n"));
  text.remove_prefix(field.size());
  return field;
}

std::string_view next_line(std::string_view &text) {
  auto const line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape_octal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size()) {
      auto const [end, ec] = std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8);
      if (ec == std::errc{} && end == text.data() + i + 4 && code < 256) {
        out.push_back(static_cast<char>(code));
        i += 3;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

bool is_container_id(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The id in one path element, given the element above it.
std::string_view container_id_in(std::string_view element, std::string_view above) {
  constexpr std::string_view kScope = ".scope";
  for (std::string_view const prefix : {"docker-", "cri-containerd-", "crio-", "libpod-"}) {
    if (!element.starts_with(prefix)) continue;
    auto id = element.substr(prefix.size());
    if (id.ends_with(kScope)) id.remove_suffix(kScope.size());
    if (is_container_id(id)) return id;
  }
  bool const below_runtime = above == "docker" || above == "libpod_parent" || above.starts_with("pod") ||
                             above.find("-pod") != std::string_view::npos;
  return below_runtime && is_container_id(element) ? element : std::string_view{};
}

// Calls visit(element, element above, path of the cgroup above) from the root down until it answers true.
template <class Visit>
void visit_elements(std::string_view path, Visit visit) {
  std::string_view above;
  std::size_t from = 1;
  while (from < path.size()) {
    auto const to = std::min(path.find('/', from), path.size());
    auto const element = path.substr(from, to - from);
    if (visit(element, above, from == 1 ? std::string_view{"/"} : path.substr(0, from - 1))) return;
    above = element;
    from = to + 1;
  }
}

bool all_slices(std::string_view path) {
  bool slices = true;
  visit_elements(path, [&](auto element, auto, auto) { return !(slices = element.ends_with(".slice")); });
  return slices;
}

// Users start their own services and scopes there.
bool below_user_slice(std::string_view path) {
  return path == "/user.slice" || path.starts_with("/user.slice/");
}

}  // namespace

std::optional<ProcStat> parse_stat(std::string_view text) {
  auto const open = text.find(" (");
  auto const close = text.rfind(')');  // the last: comm may hold any byte but NUL
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return std::nullopt;
  }
  ProcStat stat;
  if (!to_number(text.substr(0, open), stat.pid)) return std::nullopt;
  stat.comm = text.substr(open + 2, close - open - 2);
  auto rest = text.substr(close + 1);
  for (int field = 3; field <= 48; ++field) {
    auto const value = next_field(rest);
    bool good = !value.empty();
    switch (field) {
      case 3:
        good = good && value.size() == 1;
        if (good) stat.state = value.front();
        break;
      case 4: good = good && to_number(value, stat.parent); break;
      case 20: good = good && to_number(value, stat.threads); break;
      case 22: good = good && to_number(value, stat.start_ticks); break;
      case 28: good = good && to_number(value, stat.stack_start); break;
      case 48: good = good && to_number(value, stat.arg_start); break;
      default: break;
    }
    if (!good) return std::nullopt;
  }
  if (rest.empty()) return std::nullopt;  // cut: field 48 may be too
  return stat;
}

std::optional<ProcStatus> parse_status(std::string_view text) {
  ProcStatus status;
  enum : unsigned { tgid = 1, tracer = 2, uid = 4, gid = 8 };
  unsigned seen = 0;
  next_line(text);  // "Name:", the only line whose content the process chooses; the kernel escapes newlines
  while (!text.empty()) {
    auto line = next_line(text);
    auto const colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    auto const key = line.substr(0, colon);
    line.remove_prefix(colon + 1);
    if (key == "Tgid") {
      if (to_number(next_field(line), status.tgid)) seen |= tgid;
    } else if (key == "TracerPid") {
      if (to_number(next_field(line), status.tracer)) seen |= tracer;
    } else if (key == "Uid") {
      bool const good = to_number(next_field(line), status.real_uid) &&
                        to_number(next_field(line), status.effective_uid) &&
                        to_number(next_field(line), status.saved_uid);
      if (good) seen |= uid;
    } else if (key == "Gid") {
      bool const good =
          to_number(next_field(line), status.real_gid) && to_number(next_field(line), status.effective_gid);
      if (good) seen |= gid;
      break;  // it is the last of the four
    }
  }
  if (seen != (tgid | tracer | uid | gid)) return std::nullopt;
  return status;
}

CommandLine parse_cmdline(std::string_view bytes) {
  CommandLine line;
  if (bytes.size() > kMaxArgumentBytes) {
    line.truncated = true;
    bytes = bytes.substr(0, kMaxArgumentBytes);
  }
  while (!bytes.empty()) {
    if (line.args.size() == kMaxArguments) {
      line.truncated = true;
      break;
    }
    auto const argument = bytes.substr(0, bytes.find('\0'));
    line.args.emplace_back(argument);
    bytes.remove_prefix(std::min(bytes.size(), argument.size() + 1));
  }
  // A process that wrote blanks over its arguments left only empty ones: erased, as if there were none.
  if (std::all_of(line.args.begin(), line.args.end(), [](auto const &arg) { return arg.empty(); })) {
    line.args.clear();
  }
  return line;
}

std::optional<std::string> cgroup2_path(std::string_view text) {
  while (!text.empty()) {
    auto const line = next_line(text);
    if (!line.starts_with("0::/")) continue;
    auto const path = line.substr(3);
    if (path == "/.." || path.starts_with("/../")) return std::nullopt;
    return std::string(path);
  }
  return std::nullopt;
}

std::optional<CgroupElement> container_of(std::string_view cgroup_path) {
  std::optional<CgroupElement> found;
  visit_elements(cgroup_path, [&](auto element, auto above, auto parent) {
    auto const id = container_id_in(element, above);
    if (id.empty()) return false;
    found = CgroupElement{std::string(id), std::string(parent), !below_user_slice(parent)};
    return true;
  });
  return found;
}

std::optional<CgroupElement> unit_of(std::string_view cgroup_path) {
  std::optional<CgroupElement> found;
  visit_elements(cgroup_path, [&](auto element, auto, auto parent) {
    bool const unit = (element.ends_with(".service") && element.size() > 8) ||
                      (element.ends_with(".scope") && element.size() > 6);
    // Below a service or a container someone else than the host's service manager may choose names.
    if (unit) {
      found = CgroupElement{std::string(element), std::string(parent),
                            all_slices(parent) && !below_user_slice(parent)};
    }
    return false;
  });
  return found;
}

std::vector<Mount> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    auto line = next_line(text);
    auto const separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    Mount mount;
    auto tail = line.substr(separator + 3);
    mount.type = next_field(tail);
    if (!to_number(next_field(line), mount.id)) continue;
    next_field(line);  // parent's id
    next_field(line);  // major:minor
    mount.root = unescape_octal(next_field(line));
    mount.mount_point = unescape_octal(next_field(line));
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

bool is_local_filesystem(std::string_view type) {
  constexpr std::array<std::string_view, 20> kLocal{
      "ext2", "ext3",     "ext4",     "xfs", "btrfs", "tmpfs", "overlay", "squashfs", "erofs", "f2fs",
      "vfat", "devtmpfs", "bcachefs", "jfs", "ramfs", "zfs",   "udf",     "rootfs",   "exfat", "iso9660"};
  return std::find(kLocal.begin(), kLocal.end(), type) != kLocal.end();
}

}  // namespace imdsgate
