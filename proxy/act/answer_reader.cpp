#include "act/answer_reader.hpp"

#include <boost/url/grammar/ci_string.hpp>
#include <charconv>

namespace imdsgate {

using boost::urls::grammar::ci_is_equal;

void TokenReader::begin(int status) {
  wanted_ = status == 200;
  ttl_.reset();
  token_.clear();
}

void TokenReader::field(std::string_view name, std::string_view value) {
  if (is_packed(name, value)) wanted_ = false;
  if (!ci_is_equal(name, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds")) return;
  unsigned seconds = 0;
  auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error == std::errc() && end == value.data() + value.size()) ttl_ = std::chrono::seconds(seconds);
}

void TokenReader::body(std::string_view bytes) {
  if (token_.size() + bytes.size() > kLongest) wanted_ = false;
  if (wanted_) token_.append(bytes);
}

void TokenReader::end() {
  if (wanted_ && ttl_ && !token_.empty()) learn_(token_, *ttl_);
  wanted_ = false;
}

}  // namespace imdsgate
