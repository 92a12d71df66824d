#include "knet/io/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "knet/base/text.hpp"

namespace knet::io::detail {
namespace {

using nlohmann::json;

constexpr std::pair<std::string_view, Stored> formats[] = {
    {"F32", Stored::f32},         {"F64", Stored::f64},         {"I32", Stored::i32},
    {"I64", Stored::i64},         {"U8", Stored::u8},           {"F16", Stored::f16},
    {"BOOL", Stored::boolean},    {"BF16", Stored::bf16},       {"I8", Stored::i8},
    {"I16", Stored::i16},         {"U16", Stored::u16},         {"U32", Stored::u32},
    {"U64", Stored::u64},         {"F8_E4M3", Stored::f8_e4m3}, {"F8_E5M2", Stored::f8_e5m2},
    {"F8_E8M0", Stored::f8_e8m0},
};

// Receives the pieces of the text as they are read. There is no tree: what does not belong where it stands
// ends the parse, so the depth is bounded and a key can be counted, which a tree would have swallowed.
struct Handler : nlohmann::json_sax<json> {
  enum State {
    outside,
    names,
    entry,
    fields,
    dtype,
    shape,
    shape_list,
    offsets,
    offsets_list,
    remarks,
    remark,
    done
  };

  Handler(const char* w, const std::string& f) : who(w), file(f) {}

  const char* who;
  const std::string& file;
  FileHeader header;
  State state = outside;
  Entry current;
  std::string where;  // the last key
  bool in_metadata = false, has_metadata = false, has_dtype = false, has_shape = false;
  int offset_count = -1;  // -1: no data_offsets yet
  std::vector<std::string> remark_keys;

  template <class... A>
  [[noreturn]] void bad(const A&... why) const {
    fail<IoError>(who, ": ", file, ": ", why...);
  }
  [[noreturn]] void misplaced(const char* what) const {
    static constexpr std::array<const char*, 12> expected = {"an object with the tensors' names",
                                                             "a tensor's name",
                                                             "an object for a tensor",
                                                             "a tensor's dtype, shape or data_offsets",
                                                             "a text for dtype",
                                                             "a list for shape",
                                                             "a size from 0 up in shape",
                                                             "a list for data_offsets",
                                                             "two byte positions in data_offsets",
                                                             "a name in __metadata__",
                                                             "a text in __metadata__",
                                                             "the end of the header"};
    bad("the header has ", what, where.empty() ? "" : " at ", where.empty() ? "" : shown(where),
        " (expected ", expected[state], ")");
  }

  bool start_object(std::size_t) override {
    if (state == outside) {
      state = names;
    } else if (state == entry) {
      state = in_metadata ? remarks : fields;
    } else {
      misplaced("an object");
    }
    return true;
  }
  void key_in_entry(const std::string& k) {
    where = text(current.name, ".", k);
    if (k == "dtype") {
      if (std::exchange(has_dtype, true)) bad("tensor ", shown(current.name), " has two dtypes");
      state = dtype;
    } else if (k == "shape") {
      if (std::exchange(has_shape, true)) bad("tensor ", shown(current.name), " has two shapes");
      state = shape;
    } else if (k == "data_offsets") {
      if (offset_count >= 0) bad("tensor ", shown(current.name), " has two data_offsets");
      state = offsets;
    } else {
      bad("tensor ", shown(current.name), " has the field ", shown(k),
          " (expected dtype, shape and data_offsets)");
    }
  }
  bool key(string_t& k) override {
    if (state == fields) {
      key_in_entry(k);
      return true;
    }
    where = k;
    if (state == remarks) {
      remark_keys.push_back(k);
      state = remark;
      return true;
    }
    in_metadata = k == "__metadata__";
    if (in_metadata && std::exchange(has_metadata, true)) bad("the header has two __metadata__");
    current = {};
    current.name = k;
    has_dtype = has_shape = false;
    offset_count = -1;
    state = entry;
    return true;
  }
  bool end_object() override {
    where.clear();
    if (state == names) {
      state = done;
    } else if (state == remarks) {
      if (header.metadata.size() != remark_keys.size()) bad("__metadata__ has a name twice");
      state = names;
    } else {
      if (!has_dtype || !has_shape || offset_count < 0) {
        bad("tensor ", shown(current.name), " lacks ",
            !has_dtype   ? "dtype"
            : !has_shape ? "shape"
                         : "data_offsets");
      }
      header.entries.push_back(std::move(current));
      state = names;
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (state == shape) {
      state = shape_list;
    } else if (state == offsets) {
      state = offsets_list;
      offset_count = 0;
    } else {
      misplaced("a list");
    }
    return true;
  }
  bool end_array() override {
    if (state == offsets_list && offset_count != 2) misplaced("a list that is too short");
    state = fields;
    return true;
  }
  bool string(string_t& s) override {
    if (state == dtype) {
      const auto* f =
          std::find_if(std::begin(formats), std::end(formats), [&](auto& x) { return x.first == s; });
      // A type that tensors do not have must not keep the others from being read.
      if (f != std::end(formats)) current.stored = f->second;
      current.type = std::move(s);
      state = fields;
    } else if (state == remark) {
      header.metadata[remark_keys.back()] = std::move(s);
      state = remarks;
    } else {
      misplaced("a text");
    }
    return true;
  }
  bool number_unsigned(std::uint64_t v) override {
    if (state == shape_list) {
      if (current.shape.ndim() == max_dims)
        bad("tensor ", shown(current.name), " has more than ", max_dims, " dimensions");
      if (v > std::uint64_t{INT64_MAX}) bad("tensor ", shown(current.name), " has a dimension of ", v);
      current.shape.push(static_cast<std::int64_t>(v));
    } else if (state == offsets_list && offset_count < 2) {
      (offset_count++ == 0 ? current.begin : current.end) = v;
    } else {
      misplaced("a number");
    }
    return true;
  }

  // The rest of what the parser may report never belongs anywhere.
  bool null() override { misplaced("null"); }
  bool boolean(bool) override { misplaced("true or false"); }
  bool number_integer(std::int64_t v) override { misplaced(text("the number ", v).c_str()); }
  bool number_float(double, const std::string& s) override {
    misplaced(text("the number ", s.substr(0, 40)).c_str());
  }
  bool binary(json::binary_t&) override { misplaced("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    bad("the header is not JSON: error at its byte ", position);
  }
};

// Of a type that is not known the offsets are all there is to go by.
void check_size(const Handler& h, const Entry& e) {
  std::uint64_t n = 0;
  if (!byte_count(e.shape, std::max<std::size_t>(size_of(e.stored), 1), n))
    h.bad("tensor ", shown(e.name), " of shape ", e.shape, " has too many elements");
  if (e.stored != Stored::unknown && e.end - e.begin != n) {
    h.bad("tensor ", shown(e.name), " has ", e.end - e.begin, " bytes; shape ", e.shape, " of ", e.type,
          " needs ", n);
  }
}

void check_names(const Handler& h) {
  std::vector<std::string_view> names;
  names.reserve(h.header.entries.size());
  for (auto& e : h.header.entries) names.push_back(e.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) h.bad("tensor ", shown(*twice), " is there twice");
}

void check_offsets(const Handler& h, std::uint64_t data_size) {
  std::vector<const Entry*> order;
  order.reserve(h.header.entries.size());
  for (auto& e : h.header.entries) {
    if (e.begin > e.end || e.end > data_size) {
      h.bad("tensor ", shown(e.name), " is at bytes ", e.begin, " to ", e.end, " of ", data_size);
    }
    check_size(h, e);
    order.push_back(&e);
  }
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t at = 0;
  for (const Entry* e : order) {
    if (e->begin != at) {
      h.bad("tensor ", shown(e->name), " begins at byte ", e->begin, ", ",
            e->begin < at ? "inside the tensor before it" : "after a hole", " (expected ", at, ")");
    }
    at = e->end;
  }
  if (at != data_size) h.bad("the tensors have ", at, " bytes, the file ", data_size, " behind its header");
}

}  // namespace

const char* format_name(DType t) {
  for (auto& [name, stored] : formats) {
    if (stored == stored_as(t)) return name.data();
  }
  fail<DTypeError>("save_safetensors: no name for ", t);
}

std::uint64_t header_length(const char* who, const std::string& file, const unsigned char (&first)[8],
                            std::uint64_t file_size) {
  std::uint64_t n = 0;
  for (int i = 7; i >= 0; --i) n = n << 8 | first[i];
  if (n > max_header || n > file_size - 8 || n < 2) {
    fail<IoError>(who, ": ", file, ": claims a header of ", n, " bytes (expected 2 to ",
                  std::min(max_header, file_size - 8), "): not a safetensors file?");
  }
  return n;
}

FileHeader parse_header(const char* who, const std::string& file, std::string_view text,
                        std::uint64_t data_size) {
  Handler h(who, file);
  if (text.empty() || text[0] != '{') h.bad("the header does not begin with '{': not a safetensors file?");
  if (!json::sax_parse(text.begin(), text.end(), &h)) h.bad("the header is not JSON");
  check_names(h);
  check_offsets(h, data_size);
  return std::move(h.header);
}

}  // namespace knet::io::detail
