// A metadata service that forgives everything: an oracle for the hostile corpus. It shares no code with
// decide/.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace imdsgate::test {

class LenientService {
 public:
  explicit LenientService(std::string cloud) : cloud_(std::move(cloud)) {}

  // Some way of decoding, cutting and joining the target, in any order, reads a credential or a signed
  // identity.
  bool may_answer_with_a_secret(std::string const &target) const {
    std::set<std::string> seen{target};
    std::vector<std::string> waiting{target};
    while (!waiting.empty() && seen.size() < kMost) {
      auto const spelling = std::move(waiting.back());
      waiting.pop_back();
      if (is_secret(spelling)) return true;
      for (auto &next : further_spellings(spelling)) {
        if (next != spelling && seen.insert(next).second) waiting.push_back(std::move(next));
      }
    }
    return false;
  }

 private:
  static constexpr std::size_t kMost = 600;

  bool is_secret(std::string const &text) const {
    auto const mark = text.find('?');
    return matches(text.substr(0, mark), "") ||
           (mark != std::string::npos && matches(text.substr(0, mark), text.substr(mark + 1)));
  }

  using Segments = std::vector<std::string>;

  // In lower case, empty ones left out.
  static Segments segments_of(std::string const &path) {
    Segments all{""};
    for (char const c : path) {
      if (c == '/') {
        if (!all.back().empty()) all.emplace_back();
      } else {
        all.back().push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
      }
    }
    if (all.back().empty()) all.pop_back();
    return all;
  }

  // `*` is any segment; what is beneath counts.
  static bool begins(Segments const &path, Segments const &wanted) {
    if (path.size() < wanted.size()) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] != "*" && wanted[i] != path[i]) return false;
    }
    return true;
  }

  bool matches(std::string const &path, std::string const &query) const {
    static std::vector<std::pair<std::string, Segments>> const kSecrets = {
        {"ec2", {"*", "meta-data", "iam", "security-credentials", "*"}},
        {"ec2", {"*", "meta-data", "identity-credentials", "*", "security-credentials", "*"}},
        {"ec2", {"*", "dynamic", "instance-identity", "pkcs7"}},
        {"ec2", {"*", "dynamic", "instance-identity", "rsa2048"}},
        {"ec2", {"*", "dynamic", "instance-identity", "signature"}},
        {"gce", {"computemetadata", "*", "instance", "service-accounts", "*", "token"}},
        {"gce", {"computemetadata", "*", "instance", "service-accounts", "*", "identity"}},
        {"gce", {"computemetadata", "*", "instance", "gce-workload-certificates"}},
        {"gce", {"computemetadata", "*", "instance", "credentials"}},
        {"gce", {"*", "meta-data", "service-accounts", "*", "acquire"}},
        {"gce", {"*", "meta-data", "service-accounts", "*", "token"}},
        {"ecs", {"*", "credentials"}},
        {"oracle", {"opc", "*", "identity"}},
        {"azure", {"metadata", "identity", "oauth2"}},
        {"azure", {"metadata", "attested", "document"}},
    };
    auto const asked = segments_of(path);
    for (auto const &[cloud, secret] : kSecrets) {
      if (cloud == cloud_ && begins(asked, secret)) return true;
    }
    return cloud_ == "wireserver" && asks_for_certificates(query);
  }

  static bool asks_for_certificates(std::string const &query) {
    std::string parameter;
    for (char const c : query + '&') {
      if (c == '&' || c == ';' || c == '?') {
        if (parameter == "comp=certificates") return true;
        parameter.clear();
      } else {
        parameter.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
      }
    }
    return false;
  }

  static std::string decoded(std::string const &text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto const hex = [&](std::size_t at, std::size_t digits) {
        auto const word = at <= text.size() ? text.substr(at, digits) : "";
        bool const all =
            word.size() == digits && word.find_first_not_of("0123456789abcdefABCDEF") == word.npos;
        return all ? std::stoi(word, nullptr, 16) : -1;
      };
      if (text[i] == '%' && hex(i + 1, 2) >= 0) {
        plain.push_back(static_cast<char>(hex(i + 1, 2)));
        i += 2;
      } else if (text[i] == '%' && i + 1 < text.size() && (text[i + 1] | 32) == 'u' && hex(i + 2, 4) >= 0) {
        plain.push_back(static_cast<char>(hex(i + 2, 4) & 0xff));
        i += 5;
      } else {
        plain.push_back(text[i]);
      }
    }
    return plain;
  }

  static std::string resolved(std::string const &text) {
    auto const mark = std::min(text.find('?'), text.size());
    std::vector<std::string> segments;
    std::string segment;
    for (char const c : text.substr(0, mark) + '/') {
      if (c != '/') {
        segment.push_back(c);
        continue;
      }
      if (segment == "..") {
        if (!segments.empty()) segments.pop_back();
      } else if (!segment.empty() && segment != ".") {
        segments.push_back(segment);
      }
      segment.clear();
    }
    std::string path;
    for (auto const &each : segments) path += '/' + each;
    return (path.empty() ? "/" : path) + text.substr(mark);
  }

  static std::string without_parameters(std::string const &text) {
    std::string plain;
    bool within = false;
    for (char const c : text) {
      if (c == ';') within = true;
      if (c == '/' || c == '?') within = false;
      if (!within) plain.push_back(c);
    }
    return plain;
  }

  static std::vector<std::string> further_spellings(std::string const &text) {
    std::vector<std::string> all = {decoded(text), resolved(text)};
    all.push_back(text);
    std::ranges::replace(all.back(), '\\', '/');
    all.push_back(without_parameters(text));
    std::string plain;
    for (char const c : text) {
      if (c > ' ' && c < '\x7f') plain.push_back(c);
    }
    all.push_back(plain);
    for (char const end : {'#', '\0', ';'}) all.push_back(text.substr(0, text.find(end)));
    if (auto const scheme = text.find("://"); scheme != text.npos && text.find('/') > scheme)
      all.push_back(text.substr(scheme + 1));
    if (text.starts_with("//")) {
      auto const host = text.find_first_not_of('/');
      auto const path = host == text.npos ? text.npos : text.find_first_of("/?", host);
      if (path != text.npos && text[path] == '/') all.push_back(text.substr(path));
    }
    return all;
  }

  std::string const cloud_;
};

}  // namespace imdsgate::test
