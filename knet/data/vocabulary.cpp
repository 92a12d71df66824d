#include "knet/data/vocabulary.hpp"

#include "knet/base/text.hpp"

namespace knet::detail {

void missing_element(const std::string& element) {
  fail<ValueError>("IndexedDict: \"", element, "\" is not in it");
}
void missing_id(std::int64_t id, std::size_t size) {
  fail<ValueError>("IndexedDict: id ", id, " is outside [0, ", size, ")");
}
void bad_vocabulary(const char* what) { fail<ValueError>("IndexedDict: ", what); }

}  // namespace knet::detail
