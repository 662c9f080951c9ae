// The one error type of the project: expected failures travel as Result<T>, early return, no exceptions on
// the data path.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace imdsgate {

// A code is one of the names of model/reason.hpp where users see it; `detail` is for people.
enum class Errc {
  malformed,   // the input has no meaning; detail says where
  unreadable,  // it is there, and could not be read (EACCES, a deadline)
  not_found,   // what was asked for is not there
  timeout,     // a deadline passed
  refused,     // a limit or a check said no
  system,      // a system call failed; detail names it and errno's text
};

struct Error {
  Errc code;
  std::string detail;
};

// boost::system::result asks for this when value() is called on an error: a programming error, so it throws.
[[noreturn]] inline void throw_exception_from_error(Error const &error, boost::source_location const &) {
  throw std::runtime_error(error.detail);
}

template <class T>
using Result = boost::system::result<T, Error>;

// A place in a file a person wrote: 1-based; line 0 means "the whole file".
struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  bool warning = false;
  std::string text;
  std::string to_string() const;  // "file:line:column: problem"
};

}  // namespace imdsgate
