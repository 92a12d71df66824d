#include "knet/text/indexed_dict.hpp"

#include <nlohmann/json.hpp>

#include "knet/base/text.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/unicode.hpp"

namespace knet::detail {

void missing_element(const std::string& element) {
  fail<ValueError>("IndexedDict: \"", element, "\" is not in it");
}
void missing_id(std::int64_t id, std::size_t size) {
  fail<ValueError>("IndexedDict: id ", id, " is outside [0, ", size, ")");
}
void bad_vocabulary(const char* what) { fail<ValueError>("IndexedDict: ", what); }
void bad_element(const std::string& path, const std::string& element) {
  fail<IoError>("load_dict: ", path, ": the element ", shown(element), " is malformed or there twice");
}

std::string char_text(char c) {
  std::string s;
  unicode::append(s, static_cast<unsigned char>(c));
  return s;
}
char char_of_text(const std::string& path, const std::string& text) {
  const auto d = text.empty() ? unicode::Decoded{} : unicode::decode(text, 0);
  if (!d.valid || d.bytes != text.size() || d.value > 255) bad_element(path, text);
  return static_cast<char>(d.value);
}

void save_elements(const std::string& path, const std::vector<std::string>& elements) {
  write_text(path, "{\n\"format\": \"knet dictionary\",\n\"version\": 1,\n\"elements\": " +
                       json_list("save_dict", path, elements) + "\n}\n");
}
std::vector<std::string> load_elements(const std::string& path) {
  const JsonFile file("load_dict", path);
  const auto top = file.object(file.root, "the file", {"format", "version", "elements"});
  file.expect(top, "format", "knet dictionary");
  file.expect_version(top, 1);
  return file.strings(top, "elements");
}

}  // namespace knet::detail
