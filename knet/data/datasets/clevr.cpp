#include "knet/data/datasets/clevr.hpp"

#include <array>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>

#include "knet/data/datasets/text_lines.hpp"
#include "knet/io/bytes.hpp"
#include "knet/io/gzip.hpp"
#include "knet/io/input_file.hpp"

namespace knet::datasets {
namespace {

constexpr const char* who = "datasets::clevr_questions";

// The bytes of a stream, for the parser.
class StreamIterator {
 public:
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;
  struct Buffer {
    io::ByteStream& stream;
    std::array<char, 1 << 16> bytes;
    std::size_t size = 0, at = 0;
    bool fill() {
      size = stream.read(bytes.data(), bytes.size());
      at = 0;
      return size > 0;
    }
  };
  StreamIterator() = default;
  explicit StreamIterator(Buffer* b) : b_(b->fill() ? b : nullptr) {}
  const char& operator*() const { return b_->bytes[b_->at]; }
  StreamIterator& operator++() {
    if (++b_->at == b_->size && !b_->fill()) b_ = nullptr;
    return *this;
  }
  StreamIterator operator++(int) {
    StreamIterator old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const StreamIterator& a, const StreamIterator& b) { return a.b_ == b.b_; }

 private:
  Buffer* b_ = nullptr;
};

// {"info": ..., "questions": [{"image_filename": ..., ...}, ...]}; everything deeper is passed over.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Handler(std::int64_t limit, const std::string& name) : limit_(limit), name_(name) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t v) override { return number(v); }
  bool number_unsigned(number_unsigned_t v) override { return number(static_cast<std::int64_t>(v)); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t& s) override {
    if (depth_ == 3 && inside_ && !key_.empty()) {
      if (key_ == "image_filename") now_.image = std::move(s);
      if (key_ == "question") now_.question = std::move(s);
      if (key_ == "answer") now_.answer = std::move(s);
    } else if (depth_ == 5 && in_program_ && function_) {
      now_.function = std::move(s);
    }
    return value();
  }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override {
    if (depth_ == 2 && inside_) now_ = {};
    return open();
  }
  bool end_object() override {
    --depth_;
    if (depth_ != 2 || !inside_) return true;
    if (now_.image.empty() || now_.question.empty())
      fail<IoError>(who, ": ", name_, ": question ", all.size() + 1, " has no ",
                    now_.image.empty() ? "image_filename" : "question");
    all.push_back(std::move(now_));
    full = limit_ >= 0 && static_cast<std::int64_t>(all.size()) >= limit_;
    return !full;  // false ends the parsing
  }
  bool start_array(std::size_t) override {
    if (depth_ == 1 && key_ == "questions") inside_ = found = true;
    return open();
  }
  bool end_array() override {
    --depth_;
    if (depth_ == 1) inside_ = false;
    return true;
  }
  bool key(string_t& k) override {
    if (depth_ == 5) function_ = k == "function";
    if (depth_ == 1 || depth_ == 3) key_ = std::move(k);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    fail<IoError>(who, ": ", name_, ": byte ", position, ": ", e.what());
  }

  std::vector<ClevrQuestion> all;
  bool found = false, full = false;

 private:
  bool open() {
    if (depth_ == 3) {
      in_program_ = key_ == "program";
      key_.clear();  // the value of a question's key is no text
    }
    ++depth_;
    return true;
  }
  bool value() {
    if (depth_ == 2 && inside_)
      fail<IoError>(who, ": ", name_, ": question ", all.size() + 1, " is not an object");
    return true;
  }
  bool number(std::int64_t v) {
    if (depth_ == 3 && inside_) {
      if (key_ == "image_index") now_.image_index = v;
      if (key_ == "question_family_index") now_.family = v;
    }
    return value();
  }

  std::int64_t limit_;
  const std::string& name_;
  std::size_t depth_ = 0;
  bool inside_ = false, in_program_ = false, function_ = false;
  std::string key_;
  ClevrQuestion now_;
};

std::vector<ClevrQuestion> read(io::ByteStream& stream, std::int64_t limit, const std::string& name) {
  if (limit < -1 || limit == 0)
    fail<ValueError>(who, ": limit ", limit, " (expected a number of questions, or -1 for all)");
  Handler handler(limit, name);
  StreamIterator::Buffer buffer{stream, {}};
  nlohmann::json::sax_parse(StreamIterator(&buffer), StreamIterator(), &handler);
  if (!handler.found) fail<IoError>(who, ": ", name, ": there is no array \"questions\"");
  return std::move(handler.all);
}

}  // namespace

std::vector<ClevrQuestion> parse_clevr_questions(std::string_view json, std::int64_t limit,
                                                 const std::string& name) {
  io::ByteStream stream(who, std::as_bytes(std::span(json)), name);
  return read(stream, limit, name);
}

std::vector<ClevrQuestion> clevr_questions(const std::string& folder, Part part, std::int64_t limit) {
  const std::string name = std::string("CLEVR_") +
                           (part == Part::train ? "train"
                            : part == Part::dev ? "val"
                                                : "test") +
                           "_questions.json";
  const std::string path =
      find_file(who, folder, {"questions/" + name, name},
                "CLEVR_v1.0.zip at https://cs.stanford.edu/people/jcjohns/clevr holds it");
  io::ByteStream stream(who, path);
  return read(stream, limit, path);
}

struct ClevrFeatures::Impl {
  Impl(const std::string& path, Shape s) : file("ClevrFeatures", path), image(s) {}
  io::InputFile file;
  std::mutex mutex;
  Shape image;
  std::size_t count = 0, bytes = 0;
};

ClevrFeatures::ClevrFeatures(const std::string& file, Shape image) {
  if (image.numel() < 1) fail<ValueError>("ClevrFeatures: images of ", image);
  impl_ = std::make_shared<Impl>(file, image);
  impl_->bytes = static_cast<std::size_t>(image.numel()) * sizeof(float);
  const std::uint64_t size = impl_->file.size();
  if (size == 0 || size % impl_->bytes != 0)
    fail<IoError>("ClevrFeatures: ", file, ": has ", size, " bytes (expected a multiple of ", impl_->bytes,
                  ": ", image, " floats an image)");
  impl_->count = static_cast<std::size_t>(size / impl_->bytes);
}

std::size_t ClevrFeatures::size() const { return impl_->count; }

Tensor ClevrFeatures::operator[](std::size_t i) const {
  if (i >= impl_->count) fail<ValueError>("ClevrFeatures: image ", i, " of ", impl_->count);
  Tensor t = Tensor::make(impl_->image, f32, cpu);
  auto* p = reinterpret_cast<std::byte*>(t.data<float>());
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->file.seek(std::uint64_t{i} * impl_->bytes);
    impl_->file.read_all(p, impl_->bytes);
  }
  io::from_order(std::endian::little, p, static_cast<std::size_t>(t.numel()), sizeof(float));
  return t.to(default_device());
}

void ClevrFeatureWriter::write(const Tensor& features) {
  if (!features || features.dtype() != f32)
    fail<DTypeError>("ClevrFeatureWriter: features are ",
                     features ? text(features.shape(), " of ", features.dtype()) : "empty", ", expected f32");
  Tensor t = features.detach().to(cpu).contiguous();
  const auto n = static_cast<std::size_t>(t.numel());
  if constexpr (std::endian::native != std::endian::little)
    io::from_order(std::endian::little, reinterpret_cast<std::byte*>(t.data<float>()), n, sizeof(float));
  file_.write(std::as_const(t).data<float>(), n * sizeof(float));
}

}  // namespace knet::datasets
