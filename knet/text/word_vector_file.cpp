#include "knet/text/word_vector_file.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "knet/base/text.hpp"
#include "knet/io/bytes.hpp"
#include "knet/tensor/factories.hpp"
#include "knet/text/json_file.hpp"

namespace knet {
namespace detail {
namespace {

constexpr const char* who = "load_word_vectors";
constexpr std::size_t max_line = std::size_t{1} << 24, max_word = std::size_t{1} << 16;
constexpr std::int32_t fasttext_magic = 793712314;

// A row of numbers from the right end of a line: "word 0.1 -2 3". Gives what is before them, or false.
bool numbers_of(std::string_view line, std::span<float> to, std::string_view& word) {
  std::size_t end = line.find_last_not_of(' ');
  end = end == std::string_view::npos ? 0 : end + 1;
  for (std::size_t k = to.size(); k-- > 0;) {
    const std::size_t blank = line.substr(0, end).rfind(' ');
    if (blank == std::string_view::npos) return false;
    const auto [stop, error] = std::from_chars(line.data() + blank + 1, line.data() + end, to[k]);
    // Numbers too small for a float are zero.
    if (error == std::errc::result_out_of_range && stop == line.data() + end) {
      double wide = 0;
      const auto r = std::from_chars(line.data() + blank + 1, line.data() + end, wide);
      if (r.ec != std::errc() && r.ec != std::errc::result_out_of_range) return false;
      if (r.ec == std::errc() && std::fabs(wide) > 1) return false;
      to[k] = static_cast<float>(wide);
    } else if (error != std::errc() || stop != line.data() + end) {
      return false;
    }
    if (!std::isfinite(to[k])) return false;
    end = blank;
  }
  word = line.substr(0, end);
  return !word.empty();
}

// "400000 100"
bool header_of(std::string_view line, std::int64_t& count, std::int64_t& size) {
  while (line.ends_with(' ') || line.ends_with('\r')) line.remove_suffix(1);
  const auto blank = line.find(' ');
  if (blank == std::string_view::npos) return false;
  const char *p = line.data(), *end = p + line.size();
  const auto a = std::from_chars(p, p + blank, count), b = std::from_chars(p + blank + 1, end, size);
  return a.ec == std::errc() && a.ptr == p + blank && b.ec == std::errc() && b.ptr == end;
}

void check_size(const std::string& name, std::int64_t count, std::int64_t size) {
  if (count < 1 || size < 1 || size > max_vector_size) {
    fail<IoError>(who, ": ", name, ": the header promises ", count, " vectors of ", size,
                  " numbers (expected 1 to ", max_vector_size, ")");
  }
}

WordVectors read_text_vectors(VectorStream& in, std::int64_t count, std::int64_t size, std::size_t number,
                              VectorCollector& to) {
  std::string line;
  std::vector<float> row(static_cast<std::size_t>(std::max<std::int64_t>(size, 0)));
  std::int64_t read = 0;
  bool more = true;
  for (; more && in.line(line, max_line); ++read) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (size < 0) {  // the first line tells
      const auto last = line.find_last_not_of(' ');
      size =
          std::count(line.begin(),
                     line.begin() + static_cast<std::ptrdiff_t>(last == std::string::npos ? 0 : last), ' ');
      if (size < 1 || size > max_vector_size)
        fail<IoError>(who, ": ", in.name(), ": line 1: ", shown(line), " (expected a word and 1 to ",
                      max_vector_size, " numbers)");
      row.resize(static_cast<std::size_t>(size));
    }
    if (count >= 0 && read == count)
      fail<IoError>(who, ": ", in.name(), ": line ", number, ": more than the ", count,
                    " words of the header");
    std::string_view word;
    if (!numbers_of(line, row, word)) {
      fail<IoError>(who, ": ", in.name(), ": line ", number, ": ", shown(line), " (expected a word and ",
                    size, " finite numbers)");
    }
    more = to.add(std::string(word), row);
  }
  if (more && count >= 0 && read < count)
    fail<IoError>(who, ": ", in.name(), ": has ", read, " words (the header promises ", count, ")");
  if (read == 0) fail<IoError>(who, ": ", in.name(), ": has no vectors");
  return to.finish(size);
}

WordVectors read_word2vec(VectorStream& in, std::int64_t count, std::int64_t size, VectorCollector& to) {
  std::vector<float> row(static_cast<std::size_t>(size));
  bool more = true;
  for (std::int64_t i = 0; more && i < count; ++i) {
    if (in.peek(1) == "\n") in.skip(1);  // word2vec's own program ends every vector with it, others do not
    const std::string word = in.until(' ', max_word, "a word");
    in.read(row.data(), 4 * row.size(), "a vector");
    io::from_order(std::endian::little, reinterpret_cast<std::byte*>(row.data()), row.size(), 4);
    if (word.empty() || !std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
      fail<IoError>(who, ": ", in.name(), ": word ", i + 1, ", ", shown(word),
                    ", is empty or has numbers that are not finite");
    more = to.add(word, row);
  }
  if (more) {
    if (in.peek(1) == "\n") in.skip(1);
    if (!in.peek(1).empty())
      fail<IoError>(who, ": ", in.name(), ": something follows the ", count, " words of the header");
  }
  return to.finish(size);
}

WordVectors read_vectors(io::ByteStream& stream, const IndexedDict<std::string>* vocabulary,
                         const WordVectorOptions& o) {
  if (o.max_words < 0) fail<ValueError>(who, ": max_words ", o.max_words, " (expected 0 or more)");
  if (vocabulary && !o.specials.empty())
    fail<ValueError>(who, ": a vocabulary and special tokens (put them into it)");
  VectorStream in(stream);
  const std::string_view first = in.peek(4);
  std::int32_t magic = 0;
  if (first.size() == 4) {
    std::memcpy(&magic, first.data(), 4);
    io::from_order(std::endian::little, reinterpret_cast<std::byte*>(&magic), 1, 4);
  }
  const bool automatic = o.format == VectorFormat::automatic;
  if (o.format == VectorFormat::fasttext_binary || (automatic && magic == fasttext_magic))
    return read_fasttext(in, vocabulary, o);
  // A header is a line of two integers. (GloVe vectors of one number are taken for one: nobody makes them.)
  const std::string_view start = in.peek(64);
  const std::size_t end = start.find('\n');
  std::int64_t count = -1, size = -1;
  const bool header = end != std::string_view::npos && header_of(start.substr(0, end), count, size);
  if (!header) count = size = -1;
  VectorCollector to(vocabulary, o);
  if (!header) {
    if (o.format == VectorFormat::word2vec_binary)
      fail<IoError>(who, ": ", in.name(),
                    ": does not begin with a line of two numbers: not word2vec's binary format");
    return read_text_vectors(in, -1, -1, 0, to);
  }
  check_size(in.name(), count, size);
  in.skip(end + 1);
  bool binary = o.format == VectorFormat::word2vec_binary;
  if (automatic) {
    // Text if the first vector is a line of that many numbers.
    const std::string_view ahead = in.peek(static_cast<std::size_t>(64 * size) + max_word);
    std::string_view line = ahead.substr(0, ahead.find('\n')), word;
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::vector<float> row(static_cast<std::size_t>(size));
    binary = count > 0 && !numbers_of(line, row, word);
  }
  return binary ? read_word2vec(in, count, size, to) : read_text_vectors(in, count, size, 1, to);
}

}  // namespace

// ---- streams ----

bool VectorStream::more() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  const std::size_t have = buffer_.size(), chunk = std::max<std::size_t>(std::size_t{1} << 16, have);
  buffer_.resize(have + chunk);
  buffer_.resize(have + in_.read(buffer_.data() + have, chunk));
  return buffer_.size() > have;
}
std::string_view VectorStream::peek(std::size_t n) {
  while (buffer_.size() - begin_ < n && more()) {
  }
  return std::string_view(buffer_).substr(begin_, n);
}
bool VectorStream::line(std::string& to, std::size_t limit) {
  std::size_t searched = 0;
  for (;;) {
    const auto end = buffer_.find('\n', begin_ + searched);
    if (end != std::string::npos) {
      to.assign(buffer_, begin_, end - begin_);
      begin_ = end + 1;
      return true;
    }
    searched = buffer_.size() - begin_;
    if (searched > limit) fail<IoError>(who, ": ", name(), ": a line of more than ", limit, " bytes");
    if (!more()) break;
  }
  if (begin_ == buffer_.size()) return false;
  to.assign(buffer_, begin_);
  begin_ = buffer_.size();
  return true;
}
std::string VectorStream::until(char stop, std::size_t limit, const char* what) {
  const std::string_view s = peek(std::min<std::size_t>(256, limit));
  auto end = s.find(stop);
  if (end == std::string_view::npos) end = peek(limit).find(stop);
  if (end == std::string_view::npos)
    fail<IoError>(who, ": ", name(), ": the file ends, or goes on for ", limit, " bytes, within ", what);
  std::string r = buffer_.substr(begin_, end);
  begin_ += end + 1;
  return r;
}
void VectorStream::read(void* to, std::size_t bytes, const char* what) {
  auto* p = static_cast<char*>(to);
  while (bytes > 0) {
    const auto s = peek(std::min<std::size_t>(bytes, 1 << 16));
    if (s.empty()) fail<IoError>(who, ": ", name(), ": truncated within ", what);
    std::memcpy(p, s.data(), s.size());
    p += s.size(), bytes -= s.size();
    skip(s.size());
  }
}

// ---- what is kept ----

VectorCollector::VectorCollector(const IndexedDict<std::string>* vocabulary, const WordVectorOptions& o)
    : o_(o), restricted_(vocabulary != nullptr) {
  if (vocabulary)
    words_ = *vocabulary;
  else
    words_.append(o.specials);
  if (!vocabulary && words_.size() != o.specials.size())
    fail<ValueError>(who, ": a special token is there twice");
  known_.assign(words_.size(), 0);
  if (!o.lower || !restricted_) return;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const std::string& w = words_.element(static_cast<std::int64_t>(i));
    const std::string l = unicode::lower(w);
    if (l != w) lowered_[l].push_back(static_cast<std::int64_t>(i));
  }
}

bool VectorCollector::wanted(const std::string& word) const {
  return !restricted_ || words_.contains(word) || lowered_.contains(word);
}

void VectorCollector::set(std::int64_t row, std::span<const float> values, std::uint8_t how) {
  const auto at = static_cast<std::size_t>(row);
  if (at >= known_.size()) known_.resize(at + 1, 0);
  if (known_[at] >= how) return;
  if (how == 2) ++exact_;
  known_[at] = how;
  size_ = values.size();
  if (values_.size() < known_.size() * size_) {
    if (values_.capacity() < known_.size() * size_)
      values_.reserve(std::max(known_.size() * size_, values_.size() * 3 / 2));
    values_.resize(known_.size() * size_);
  }
  std::copy(values.begin(), values.end(), values_.begin() + static_cast<std::ptrdiff_t>(at * size_));
}

bool VectorCollector::add(const std::string& word, std::span<const float> values) {
  ++seen_;
  if (!restricted_) {
    set(words_.push_back(word), values, 2);
  } else {
    if (const auto row = words_.get(word, -1); row >= 0) set(row, values, 2);
    if (const auto it = lowered_.find(word); it != lowered_.end()) {
      for (const auto row : it->second) set(row, values, 1);
    }
    if (exact_ == words_.size()) return false;
  }
  return o_.max_words == 0 || seen_ < o_.max_words;
}

WordVectors VectorCollector::finish(std::int64_t size) {
  const std::size_t n = words_.size(), d = static_cast<std::size_t>(size);
  known_.resize(n, 0);
  values_.resize(n * d);
  std::vector<double> mean(d);
  double sum = 0, squares = 0, count = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (known_[i] == 0) continue;
    for (std::size_t k = 0; k < d; ++k) {
      const double x = values_[i * d + k];
      mean[k] += x, sum += x, squares += x * x;
    }
    ++count;
  }
  const double numbers = std::max(count * static_cast<double>(d), 1.0), centre = sum / numbers;
  const double deviation = std::sqrt(std::max(squares / numbers - centre * centre, 0.0));
  const std::int64_t pad = o_.pad.empty() ? -1 : words_.get(o_.pad, -1);
  if (!o_.pad.empty() && pad < 0)
    fail<ValueError>(who, ": the pad token ", shown(o_.pad), " is not among the words");
  std::optional<Generator> own;
  if (o_.seed != 0) own.emplace(o_.seed);
  for (std::size_t i = 0; i < n; ++i) {
    float* row = values_.data() + i * d;
    if (static_cast<std::int64_t>(i) == pad) {
      std::fill_n(row, d, 0.0f);
      known_[i] = 0;
    } else if (known_[i] == 0 && o_.missing == MissingVector::mean) {
      for (std::size_t k = 0; k < d; ++k) row[k] = static_cast<float>(mean[k] / std::max(count, 1.0));
    } else if (known_[i] == 0 && o_.missing == MissingVector::normal) {
      const Tensor r = own ? randn({size}, *own, f32) : randn({size}, f32);
      for (std::size_t k = 0; k < d; ++k) row[k] = static_cast<float>(deviation) * r.data<float>()[k];
    }
  }
  const auto rows = static_cast<std::int64_t>(n);
  WordVectors v{std::move(words_), Tensor(values_, Shape{rows, size}), zeros({rows}, boolean)};
  for (std::size_t i = 0; i < n; ++i) v.known.data<bool>()[i] = known_[i] != 0;
  return v;
}

}  // namespace detail

namespace {
WordVectors load(const std::string& path, const IndexedDict<std::string>* vocabulary,
                 const WordVectorOptions& o) {
  io::ByteStream in(detail::who, path);
  return detail::read_vectors(in, vocabulary, o);
}
}  // namespace

WordVectors load_word_vectors(const std::string& path, WordVectorOptions o) { return load(path, nullptr, o); }
WordVectors load_word_vectors(const std::string& path, const IndexedDict<std::string>& v,
                              WordVectorOptions o) {
  return load(path, &v, o);
}
WordVectors load_word_vectors(const std::string& path, const Vocabulary& v, WordVectorOptions o) {
  if (o.pad.empty()) o.pad = v.options().pad;
  return load(path, &v.tokens(), o);
}
WordVectors parse_word_vectors(std::span<const std::byte> bytes, const std::string& name,
                               const IndexedDict<std::string>* vocabulary, WordVectorOptions o) {
  io::ByteStream in(detail::who, bytes, name);
  return detail::read_vectors(in, vocabulary, o);
}

}  // namespace knet
