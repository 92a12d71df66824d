#include "knet/data/datasets/text_lines.hpp"

#include <charconv>
#include <filesystem>
#include <limits>

#include "knet/io/gzip.hpp"

namespace knet::datasets {

TextFile::TextFile(const char* who, const std::string& path)
    : bytes_(io::ByteStream(who, path).read_rest(std::numeric_limits<std::int64_t>::max())) {}

Lines::Lines(std::string_view text) : rest_(text) {
  if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
}

bool Lines::next(std::string_view& line) {
  if (rest_.empty()) return false;
  const std::size_t end = rest_.find('\n');
  line = rest_.substr(0, end);
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  ++number_;
  return true;
}

std::vector<std::string_view> fields_of(std::string_view line, char separator) {
  std::vector<std::string_view> r;
  for (;;) {
    const std::size_t end = line.find(separator);
    r.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return r;
    line.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view s) {
  constexpr const char* blanks = " \t\r\n\v\f";
  const std::size_t a = s.find_first_not_of(blanks);
  if (a == std::string_view::npos) return {};
  return s.substr(a, s.find_last_not_of(blanks) - a + 1);
}

namespace {
template <class T>
bool to_number(std::string_view s, T& value) {
  s = trimmed(s);
  if (s.starts_with('+') && !s.starts_with("+-")) s.remove_prefix(1);
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  return error == std::errc() && end == s.data() + s.size();
}
}  // namespace

bool to_integer(std::string_view s, std::int64_t& value) { return to_number(s, value); }
bool to_real(std::string_view s, double& value) { return to_number(s, value); }

std::string find_file(const char* who, const std::string& folder, const std::vector<std::string>& names,
                      const char* advice) {
  std::string list;
  for (const std::string& name : names) {
    for (const char* packed : {"", ".gz"}) {
      std::string path = folder + "/" + name + packed;
      std::error_code error;
      if (std::filesystem::is_regular_file(path, error)) return path;
    }
    list += (list.empty() ? "" : ", ") + name;
  }
  fail<IoError>(who, ": ", folder, ": there is no ", names.size() > 1 ? "file of these: " : "", list,
                " (or .gz); ", advice);
}

std::string excerpt(std::string_view s, std::size_t length) {
  if (s.size() <= length) return std::string(s);
  while (length > 0 && (static_cast<unsigned char>(s[length]) & 0xC0u) == 0x80u)
    --length;  // whole characters
  return std::string(s.substr(0, length)) + "...";
}

}  // namespace knet::datasets
