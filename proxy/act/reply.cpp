#include "act/reply.hpp"

#include <boost/json.hpp>
#include <cstdio>

namespace imdsgate {
namespace {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return status < 500 ? "Refused" : "Failed";
  }
}

std::string_view error_text(int status) {
  if (status == 403) return "blocked by imdsgate";
  if (status < 500) return "refused by imdsgate";
  return status == 503 ? "imdsgate is at its limit" : "the metadata service did not answer";
}

// IMF-fixdate (RFC 9110 §5.6.7): always English, always GMT, so neither strftime nor a locale.
std::string http_date(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  static constexpr char const *kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr char const *kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto const day = floor<days>(time);
  year_month_day const date{day};
  hh_mm_ss const clock{floor<seconds>(time - day)};
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT", kDays[weekday{day}.c_encoding()],
                static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return text;
}

}  // namespace

std::string to_http(LocalReply const &reply) {
  boost::json::object object;
  object["error"] = error_text(reply.status);
  if (!reply.reason.empty()) object["reason"] = reply.reason;
  if (!reply.alert.empty()) object["alert"] = reply.alert;
  std::string const body = boost::json::serialize(object) + '\n';

  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + ' ';
  out.append(reason_phrase(reply.status))
      .append("\r\nServer: imdsgate\r\nDate: ")
      .append(http_date(reply.date));
  out += "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size());
  out += "\r\nCache-Control: no-store\r\n";
  if (reply.provider == Provider::gce) out += "Metadata-Flavor: Google\r\n";
  if (reply.status == 429 || reply.status == 503) out += "Retry-After: 1\r\n";
  out += "Connection: close\r\n\r\n";
  if (!reply.head) out += body;
  return out;
}

}  // namespace imdsgate
