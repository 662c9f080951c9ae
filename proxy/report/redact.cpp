#include "report/redact.hpp"

#include <algorithm>
#include <array>

namespace imdsgate {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
constexpr bool is_alnum(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}
constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr bool is_quote(char c) {
  return c == '"' || c == '\'';
}
constexpr bool is_word(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == '%';
}
constexpr bool is_token(char c) {
  return is_word(c) || c == '+' || c == '/' || c == '=' || c == '~';
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

// The key without case, separators and percent-encoding, decoded until nothing changes: `%2574oken` is token
// to someone.
std::string normalized(std::string_view key) {
  std::string out(key);
  for (int round = 0; round < 3 && out.find('%') != std::string::npos; ++round) {
    std::string decoded;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i] == '%' && i + 2 < out.size() && hex(out[i + 1]) >= 0 && hex(out[i + 2]) >= 0) {
        decoded += static_cast<char>(hex(out[i + 1]) * 16 + hex(out[i + 2]));
        i += 2;
      } else {
        decoded += out[i];
      }
    }
    out.swap(decoded);
  }
  std::string plain;
  for (char const c : out) {
    if (is_alnum(c)) plain += lower(c);
  }
  return plain;
}

constexpr std::string_view kSecretSuffixes[] = {
    "token",      "secret",      "password",      "passwd",     "passphrase", "signature",
    "credential", "credentials", "authorization", "cookie",     "secretkey",  "accesskey",
    "apikey",     "privatekey",  "sharedkey",     "accountkey", "assertion",  "passcode"};
constexpr std::string_view kSecretNames[] = {"sig", "pwd", "pass", "auth", "sas", "secretstring", "privkey"};
// Too common as words to count in free text.
constexpr std::string_view kSecretQueryKeys[] = {"key", "code", "jwt", "hmac"};

bool secret(std::string const &plain) {
  if (plain.starts_with("xamz") || (plain.starts_with("xgoog") && !plain.starts_with("xgoogle"))) return true;
  if (std::ranges::find(kSecretNames, plain) != std::end(kSecretNames)) return true;
  return std::ranges::any_of(kSecretSuffixes, [&](auto suffix) { return plain.ends_with(suffix); });
}

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::ranges::equal(text.substr(0, prefix.size()), prefix, {}, lower, lower);
}

bool equal_nocase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && starts_with_nocase(a, b);
}

// Values that are secrets by their own look: what issuers put in front so that scanners find them.
constexpr std::string_view kTokenPrefixes[] = {
    "eyJ",               // JWT: managed identity and service account tokens
    "AQAE",              // IMDSv2 session token
    "ya29.",             // Google OAuth access token
    "IQoJb3JpZ2luX2Vj",  // AWS session token
    "FwoGZXIvYXdz",      // the same, older
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "hvs.",
};

bool looks_like_token(std::string_view text) {
  auto const known = [&](auto prefix) { return text.starts_with(prefix); };
  if (std::ranges::none_of(kTokenPrefixes, known)) return false;
  return std::ranges::find_if_not(text, is_token) - text.begin() >= 20;
}

// Reads free text once, left to right; `at_` is always at the start of a word or at a character between
// words.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { out_.reserve(text.size()); }

  std::string run() {
    while (at_ < text_.size()) {
      if (is_word(text_[at_])) {
        word();
      } else if (starts_with_nocase(text_.substr(at_), "/v2/credentials/")) {
        copy(at_ + 16);
        skip_value([](char c) { return is_word(c); });
      } else {
        copy(at_ + 1);
      }
    }
    return std::move(out_);
  }

  // The text ended where a value was expected: the next argument is that value.
  bool value_follows() const { return value_follows_; }

 private:
  void copy(std::size_t end) {
    out_.append(text_, at_, end - at_);
    at_ = end;
  }

  template <class Belongs>
  void skip_value(Belongs belongs) {
    auto const start = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    if (at_ > start) out_ += kRedacted;
  }

  std::size_t skip_spaces(std::size_t from) const {
    while (from < text_.size() && is_space(text_[from])) ++from;
    return from;
  }

  void word() {
    if (looks_like_token(text_.substr(at_))) return skip_value(is_token);
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    std::string_view const name = text_.substr(at_, end - at_);
    if (text_.substr(end).starts_with("://")) return authority(end + 3);
    if (equal_nocase(name, "bearer")) return scheme(end, 1);
    if (equal_nocase(name, "basic")) return scheme(end, 8);
    if (is_user_flag(name)) return user(end);
    if (names_a_secret(name)) return value_of(name, end);
    copy(end);
  }

  // `Bearer abc`: a scheme of RFC 7235 and its credentials, when they are at least `least` characters.
  void scheme(std::size_t end, std::size_t least) {
    std::size_t const from = skip_spaces(end);
    if (from == text_.size() && least == 1) value_follows_ = true;
    if (from == end || text_.substr(from).starts_with("$(")) return copy(end);
    std::size_t last = from;
    while (last < text_.size() && !is_space(text_[last]) && !is_quote(text_[last])) ++last;
    if (last - from < least) return copy(end);
    copy(from);
    at_ = last;
    out_ += kRedacted;
  }

  void authority(std::size_t from) {
    copy(from);
    std::size_t end = at_;
    auto const ends = [](char c) { return c == '/' || c == '?' || c == '#' || is_space(c) || is_quote(c); };
    while (end < text_.size() && !ends(text_[end])) ++end;
    auto const sign = text_.substr(at_, end - at_).rfind('@');
    if (sign == std::string_view::npos) return;
    out_ += kRedacted;
    at_ += sign;
  }

  static bool is_user_flag(std::string_view name) {
    return name.starts_with("-u") || name == "--user" || name == "--proxy-user" || name == "-U";
  }

  // `-u name:password`; the name stays.
  void user(std::size_t end) {
    std::size_t from = end;
    if (from < text_.size() && (text_[from] == '=' || is_space(text_[from]))) from = skip_spaces(from + 1);
    if (from < text_.size() && is_quote(text_[from])) ++from;
    std::size_t colon = from;
    while (colon < text_.size() && !is_space(text_[colon]) && !is_quote(text_[colon]) && text_[colon] != ':')
      ++colon;
    if (colon == text_.size() || text_[colon] != ':' || text_.substr(colon).starts_with("://"))
      return copy(end);
    copy(colon + 1);
    skip_value([](char c) { return !is_space(c) && !is_quote(c); });
  }

  void value_of(std::string_view name, std::size_t end) {
    std::size_t from = end;
    if (from < text_.size() && text_[from] == '\\') ++from;  // JSON within a quoted shell word
    if (from < text_.size() && is_quote(text_[from])) ++from;
    std::size_t const sign = skip_spaces(from);
    bool const assigned = sign < text_.size() && (text_[sign] == '=' || text_[sign] == ':');
    bool const flag = name.starts_with('-') || name.find('_') != std::string_view::npos;
    if (!assigned) {
      if (from == text_.size()) value_follows_ = flag;
      bool const next_word = flag && sign > end && sign < text_.size() && text_[sign] != '-';
      copy(next_word ? sign : end);
      if (next_word) value(false);
      return;
    }
    bool const header = text_[sign] == ':';
    from = sign + 1;
    while (from < text_.size() && text_[from] == '=') ++from;
    from = skip_spaces(from);
    if (from == text_.size()) value_follows_ = true;
    std::string const plain = normalized(name);
    copy(from);
    value(header && (plain.ends_with("authorization") || plain.ends_with("cookie")));
  }

  // Replaces the value at at_: a quoted string, a whole header line (several words), or one word.
  void value(bool line) {
    if (text_.substr(at_).starts_with("$(")) return;  // what a shell will run, not a secret
    bool const escaped = at_ < text_.size() && text_[at_] == '\\';
    if (escaped) copy(at_ + 1);
    if (at_ < text_.size() && is_quote(text_[at_])) {
      char const quote = text_[at_];
      copy(at_ + 1);
      if (text_.substr(at_).starts_with("$(")) return;
      return skip_value([=](char c) { return c != quote && !(escaped && c == '\\'); });
    }
    if (line) return skip_value([](char c) { return !is_quote(c) && c != '\n' && c != '\r'; });
    skip_value([](char c) {
      return !is_space(c) && !is_quote(c) && c != '&' && c != ';' && c != ',' && c != '|' && c != '}' &&
             c != ')';
    });
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0;
  bool value_follows_ = false;
};

// Nothing below can be found in a text without one of these or a word that is a flag or a token.
bool may_hold_secret(std::string_view text) {
  return text.size() >= 20 || text.starts_with('-') ||
         text.find_first_of(":=_ %@") != std::string_view::npos || equal_nocase(text, "bearer");
}

}  // namespace

bool names_a_secret(std::string_view key) {
  return secret(normalized(key));
}

std::string redact_query(std::string_view query) {
  std::string out;
  out.reserve(query.size());
  while (!query.empty()) {
    auto const end = std::min(query.find_first_of("&;"), query.size());
    auto const part = query.substr(0, end);
    auto const sign = part.find('=');
    std::string const plain = normalized(part.substr(0, sign));
    if (sign != std::string_view::npos && sign + 1 < part.size() &&
        (secret(plain) || std::ranges::find(kSecretQueryKeys, plain) != std::end(kSecretQueryKeys))) {
      out.append(part, 0, sign + 1).append(kRedacted);
    } else {
      out += redact_text(part);
    }
    if (end < query.size()) out += query[end];
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

std::string redact_path(std::string_view path) {
  std::string out;
  int matched = 0;  // how many of v2, credentials have just been seen
  for (std::size_t at = 0; at < path.size();) {
    auto const slash = path.find('/', at);
    auto const end = slash == std::string_view::npos ? path.size() : slash;
    auto const segment = path.substr(at, end - at);
    if (!segment.empty()) {
      auto const plain = normalized(segment);
      bool const hide = matched == 2 || looks_like_token(segment);
      matched = plain == "v2" ? 1 : matched == 1 && plain == "credentials" ? 2 : 0;
      out += hide ? kRedacted : segment;
    }
    if (slash == std::string_view::npos) break;
    out += '/';
    at = slash + 1;
  }
  return out;
}

std::string redact_target(std::string_view target) {
  // An absolute form may carry user information.
  auto const mark = target.find_first_of("?#");
  auto const path = target.substr(0, mark);
  std::string out = path.find("://") == std::string_view::npos ? redact_path(path) : redact_text(path);
  if (mark == std::string_view::npos) return out;
  out += target[mark];
  return out += redact_query(target.substr(mark + 1));
}

std::string redact_text(std::string_view text) {
  return may_hold_secret(text) ? Scanner(text).run() : std::string(text);
}

std::vector<std::string> redact_arguments(std::span<std::string const> arguments) {
  std::vector<std::string> out;
  out.reserve(arguments.size());
  bool value = false;  // this argument is the value of the one before
  bool user = false;   // or a name and a password
  for (auto const &argument : arguments) {
    auto const colon = argument.find(':');
    if (value && !argument.starts_with("--")) {
      out.emplace_back(argument.starts_with("$(") ? argument : std::string(kRedacted));
      value = false;
    } else if (user && colon != std::string::npos && argument.find("://") == std::string::npos) {
      out.push_back(argument.substr(0, colon + 1).append(kRedacted));
      value = false;
    } else if (may_hold_secret(argument)) {
      Scanner scanner(argument);
      out.push_back(scanner.run());
      value = scanner.value_follows();
    } else {
      out.push_back(argument);
      value = false;
    }
    user = argument == "-u" || argument == "--user" || argument == "--proxy-user" || argument == "-U";
    if (argument == "-b" || argument == "--cookie") value = true;
  }
  return out;
}

}  // namespace imdsgate
