// What the readers of text share: whole files, lines with their numbers, fields, and errors that say where.
// For the library's sources only.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::datasets {

/// A whole file, unfolded when it is gzip.
class TextFile {
 public:
  TextFile(const char* who, const std::string& path);
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::vector<std::byte> bytes_;
};

/// Lines end at "\n" alone (and lose a "\r" before it): other signs that Unicode calls line ends are text. A
/// byte-order mark at the start is not part of the first line.
class Lines {
 public:
  explicit Lines(std::string_view text);
  /// The next line; false after the last. A text that ends with "\n" has no empty line behind it.
  bool next(std::string_view& line);
  /// Of the line that next() gave last, from 1.
  std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

/// The parts between separators: one more than there are separators.
std::vector<std::string_view> fields_of(std::string_view line, char separator);
std::string_view trimmed(std::string_view);
/// Whole numbers and reals written out in full; false for anything else.
bool to_integer(std::string_view, std::int64_t& value);
bool to_real(std::string_view, double& value);

/// The first of the names that is a file in the folder (or there with .gz behind it). IoError that lists
/// them, and says what to do.
std::string find_file(const char* who, const std::string& folder, const std::vector<std::string>& names,
                      const char* advice);

/// Where in which file something is wrong.
struct Place {
  const char* who;
  const std::string& file;
  std::size_t line;
};
template <class... A>
[[noreturn]] void bad_line(const Place& p, const A&... what) {
  fail<IoError>(p.who, ": ", p.file, ": line ", p.line, ": ", what...);
}
/// At most so much of it, for messages.
std::string excerpt(std::string_view, std::size_t length = 40);

}  // namespace knet::datasets
