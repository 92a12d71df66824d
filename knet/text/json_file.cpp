#include "knet/text/json_file.hpp"

#include <algorithm>

#include "knet/io/atomic_file.hpp"
#include "knet/io/gzip.hpp"
#include "knet/text/unicode.hpp"

namespace knet::detail {
namespace {

constexpr int max_depth = 32;

std::size_t count_fields(const json& j) {  // not deeper than max_depth
  std::size_t n = j.is_object() ? j.size() : 0;
  if (j.is_structured()) {
    for (const json& e : j) {
      if (e.is_structured()) n += count_fields(e);
    }
  }
  return n;
}

const char* kind(const json& j) { return j.type_name(); }

}  // namespace

std::string shown(std::string_view s) {
  std::string r = "\"";
  for (char c : s.substr(0, 80)) r += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return r += s.size() > 80 ? "...\"" : "\"";
}

std::string read_text(const char* who, const std::string& path) {
  io::ByteStream in(who, path);
  const auto bytes = in.read_rest(max_text_file);
  char more;
  if (in.read(&more, 1) != 0)
    fail<IoError>(who, ": ", path, ": has more than the ", max_text_file, " bytes expected at most");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_text(const std::string& path, std::string_view content) {
  io::write_file(path, std::as_bytes(std::span(content)));
}

std::string json_text(const char* who, const std::string& path, const std::string& s) {
  if (!unicode::is_utf8(s)) fail<ValueError>(who, ": ", path, ": ", shown(s), " is not UTF-8");
  return json(s).dump();
}
std::string json_list(const char* who, const std::string& path, const std::vector<std::string>& list) {
  std::string r = "[";
  for (const std::string& s : list) (r += r.size() == 1 ? "\n" : ",\n") += json_text(who, path, s);
  return r += "\n]";
}

JsonFile::JsonFile(const char* who, std::string path, std::string_view content)
    : who_(who), path_(std::move(path)) {
  std::size_t keys = 0;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json&) {
    if (depth > max_depth) bad("lists and objects are nested more than ", max_depth, " deep");
    keys += event == json::parse_event_t::key;
    return true;
  };
  try {
    root = json::parse(content.begin(), content.end(), watch);
  } catch (const json::parse_error& e) {
    bad("is not JSON: error at byte ", e.byte);
  } catch (const json::exception&) {
    bad("is not JSON that can be read: a number is out of range");
  }
  if (count_fields(root) != keys) bad("an object has a name twice");
}

const json& JsonFile::object(const json& j, const std::string& where,
                             std::initializer_list<const char*> fields) const {
  if (!j.is_object()) bad(where, " is ", kind(j), " (expected an object)");
  for (const auto& [name, value] : j.items()) {
    if (std::find(fields.begin(), fields.end(), name) == fields.end())
      bad(where, " has the field ", shown(name), ", which is not supported");
  }
  return j;
}
const json* JsonFile::find(const json& j, const char* field) {
  const auto it = j.find(field);
  return it == j.end() || it->is_null() ? nullptr : &*it;
}
const json& JsonFile::at(const json& j, const char* field) const {
  if (!j.is_object()) bad("found ", kind(j), " (expected an object with ", field, ")");
  const json* f = find(j, field);
  if (!f) bad("the field \"", field, "\" is missing");
  return *f;
}
std::string JsonFile::string(const json& j, const char* field) const {
  const json& f = at(j, field);
  if (!f.is_string()) bad("\"", field, "\" is ", kind(f), " (expected a text)");
  return f.get<std::string>();
}
std::string JsonFile::string(const json& j, const char* field, const char* otherwise) const {
  return find(j, field) ? string(j, field) : otherwise;
}
bool JsonFile::boolean(const json& j, const char* field, bool otherwise) const {
  const json* f = find(j, field);
  if (f && !f->is_boolean()) bad("\"", field, "\" is ", kind(*f), " (expected true or false)");
  return f ? f->get<bool>() : otherwise;
}
std::int64_t JsonFile::integer(const json& j, const char* field) const {
  const json& f = at(j, field);
  if (!f.is_number_unsigned() || f.get<std::uint64_t>() > std::uint64_t{1} << 53)
    bad("\"", field, "\" is ", kind(f), " (expected an integer from 0 to 2^53)");
  return f.get<std::int64_t>();
}
std::int64_t JsonFile::integer(const json& j, const char* field, std::int64_t otherwise) const {
  return find(j, field) ? integer(j, field) : otherwise;
}
double JsonFile::number(const json& j, const char* field, double otherwise) const {
  const json* f = find(j, field);
  if (f && !f->is_number()) bad("\"", field, "\" is ", kind(*f), " (expected a number)");
  return f ? f->get<double>() : otherwise;
}
const json& JsonFile::list(const json& j, const char* field) const {
  const json& f = at(j, field);
  if (!f.is_array()) bad("\"", field, "\" is ", kind(f), " (expected a list)");
  return f;
}
std::vector<std::string> JsonFile::strings(const json& j, const char* field) const {
  std::vector<std::string> r;
  for (const json& e : list(j, field)) {
    if (!e.is_string()) bad("\"", field, "\" has ", kind(e), " (expected texts)");
    r.push_back(e.get<std::string>());
  }
  return r;
}
void JsonFile::expect(const json& j, const char* field, const char* text) const {
  if (const auto s = string(j, field); s != text)
    bad("\"", field, "\" is ", shown(s), " (expected \"", text, "\")");
}
std::int64_t JsonFile::expect_version(const json& j, std::int64_t newest) const {
  const auto v = integer(j, "version");
  if (v < 1 || v > newest) bad("has version ", v, " (expected 1 to ", newest, ")");
  return v;
}

}  // namespace knet::detail
