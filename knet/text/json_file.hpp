// JSON files that are not trusted: bounded depth, no name twice, and every object is asked for its fields, so
// that one which nobody knows is an error and not lost. For the library's own sources.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::detail {

using nlohmann::json;

/// No text file read whole is larger: 1 GiB.
inline constexpr std::uint64_t max_text_file = std::uint64_t{1} << 30;

/// A name from a file in quotes, short and without control characters, for messages.
std::string shown(std::string_view s);
/// A whole file, plain or gzip; IoError with `who`.
std::string read_text(const char* who, const std::string& path);
/// Writes a whole file, atomically.
void write_text(const std::string& path, std::string_view content);
/// A text as a JSON string; ValueError when it is not UTF-8.
std::string json_text(const char* who, const std::string& path, const std::string& s);
/// ["a", "b"], a line each.
std::string json_list(const char* who, const std::string& path, const std::vector<std::string>& list);

class JsonFile {
 public:
  JsonFile(const char* who, const std::string& path) : JsonFile(who, path, read_text(who, path)) {}
  /// The same from memory; `path` stands in messages.
  JsonFile(const char* who, std::string path, std::string_view content);

  json root;

  /// IoError that names the file.
  template <class... A>
  [[noreturn]] void bad(const A&... why) const {
    fail<IoError>(who_, ": ", path_, ": ", why...);
  }
  /// j itself, which must be an object without any other field than these. (Fields may be missing.)
  const json& object(const json& j, const std::string& where,
                     std::initializer_list<const char*> fields) const;
  /// A field that must be there / may be missing or null.
  const json& at(const json& j, const char* field) const;
  static const json* find(const json& j, const char* field);
  std::string string(const json& j, const char* field) const;
  std::string string(const json& j, const char* field, const char* otherwise) const;
  bool boolean(const json& j, const char* field, bool otherwise) const;
  /// From 0 to 2^53; `otherwise` when it is missing or null.
  std::int64_t integer(const json& j, const char* field) const;
  std::int64_t integer(const json& j, const char* field, std::int64_t otherwise) const;
  double number(const json& j, const char* field, double otherwise) const;
  std::vector<std::string> strings(const json& j, const char* field) const;
  const json& list(const json& j, const char* field) const;
  /// The field must be this text.
  void expect(const json& j, const char* field, const char* text) const;
  /// The field "version" must be a number from 1 to `newest`.
  std::int64_t expect_version(const json& j, std::int64_t newest) const;
  const std::string& path() const { return path_; }

 private:
  const char* who_;
  std::string path_;
};

}  // namespace knet::detail
