// fastText's .bin: settings, words, and a matrix with a row for each word and for each bucket of word parts.
// A word's vector is the mean of its row and those of its parts. The matrix is read as a stream, row by row,
// and every row is added to the words that it belongs to: the buckets, most of the file, are never in memory.
#include <algorithm>
#include <bit>
#include <cmath>

#include "knet/base/text.hpp"
#include "knet/io/bytes.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/word_vector_file.hpp"

namespace knet::detail {
namespace {

constexpr const char* who = "load_word_vectors";
constexpr std::int32_t max_part = 30;  // characters; fastText's default is 6

template <class T>
T number(VectorStream& in, const char* what) {
  T v;
  in.read(&v, sizeof v, what);
  io::from_order(std::endian::little, reinterpret_cast<std::byte*>(&v), 1, sizeof v);
  return v;
}

struct Settings {
  std::int32_t size = 0, buckets = 0, shortest = 0, longest = 0;
};

Settings read_settings(VectorStream& in) {
  const auto version = [&] {
    number<std::int32_t>(in, "the magic number");
    return number<std::int32_t>(in, "the version");
  }();
  if (version != 11 && version != 12)
    fail<IoError>(who, ": ", in.name(), ": fastText format version ", version, " (expected 11 or 12)");
  std::int32_t a[12];
  for (auto& x : a) x = number<std::int32_t>(in, "the settings");
  number<double>(in, "the settings");
  // dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate
  Settings s{a[0], a[8], a[9], a[10]};
  constexpr std::int32_t supervised = 3;
  if (version == 11 && a[7] == supervised) s.longest = 0;  // such models had no parts of words
  if (s.size < 1 || s.size > max_vector_size || s.buckets < 0 || s.shortest < 0 || s.longest < 0 ||
      s.longest > max_part)
    fail<IoError>(who, ": ", in.name(), ": settings out of range: vectors of ", s.size, ", ", s.buckets,
                  " buckets, parts of ", s.shortest, " to ", s.longest, " characters");
  return s;
}

std::vector<std::string> read_words(VectorStream& in) {
  const auto entries = number<std::int32_t>(in, "the dictionary"),
             words = number<std::int32_t>(in, "the dictionary"),
             labels = number<std::int32_t>(in, "the dictionary");
  number<std::int64_t>(in, "the dictionary");
  const auto pruned = number<std::int64_t>(in, "the dictionary");
  if (words < 0 || labels < 0 || entries < 0 || std::int64_t{words} + labels != entries)
    fail<IoError>(who, ": ", in.name(), ": the dictionary has ", entries, " entries, ", words, " words and ",
                  labels, " labels");
  if (pruned > 0) fail<IoError>(who, ": ", in.name(), ": a pruned fastText model is not supported");
  std::vector<std::string> r;  // grows with what is read
  for (std::int32_t i = 0; i < entries; ++i) {
    auto word = in.until('\0', std::size_t{1} << 16, "a word");
    number<std::int64_t>(in, "a count");
    const auto type = number<std::int8_t>(in, "a word's type");
    if (type != (i < words ? 0 : 1))
      fail<IoError>(who, ": ", in.name(), ": entry ", i + 1, ", ", shown(word), ", is of type ", int{type});
    if (i < words) r.push_back(std::move(word));
  }
  return r;
}

// FNV-1a over signed bytes, as fastText has it.
std::uint32_t hash(std::string_view s) {
  std::uint32_t h = 2166136261u;
  for (const char c : s) h = (h ^ static_cast<std::uint32_t>(static_cast<std::int8_t>(c))) * 16777619u;
  return h;
}

// Calls f(bucket) for every part of "<word>" of the wished lengths in characters.
template <class F>
void each_part(const std::string& word, const Settings& s, const F& f) {
  if (word == "</s>" || s.buckets == 0) return;
  const std::string w = "<" + word + ">";
  const auto inside = [&](std::size_t i) {
    return i < w.size() && (static_cast<unsigned char>(w[i]) & 0xC0) == 0x80;
  };
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (inside(i)) continue;
    std::size_t stop = i;
    for (std::int32_t n = 1; stop < w.size() && n <= s.longest; ++n) {
      do ++stop;
      while (inside(stop));
      const bool border = n == 1 && (i == 0 || stop == w.size());
      if (n >= s.shortest && !border)
        f(hash(std::string_view(w).substr(i, stop - i)) % static_cast<std::uint32_t>(s.buckets));
    }
  }
}

}  // namespace

WordVectors read_fasttext(VectorStream& in, const IndexedDict<std::string>* vocabulary,
                          const WordVectorOptions& o) {
  const Settings s = read_settings(in);
  const std::vector<std::string> file_words = read_words(in);
  if (file_words.empty()) fail<IoError>(who, ": ", in.name(), ": has no words");
  if (number<std::uint8_t>(in, "the matrix") != 0)
    fail<IoError>(who, ": ", in.name(), ": a quantised fastText model is not supported");
  const auto rows = number<std::int64_t>(in, "the matrix"), size = number<std::int64_t>(in, "the matrix");
  const auto word_rows = static_cast<std::int64_t>(file_words.size());
  // Without parts of words fastText writes no buckets, or some that nothing uses.
  if (size != s.size || rows < word_rows || (rows != word_rows + s.buckets && s.longest > 0))
    fail<IoError>(who, ": ", in.name(), ": a matrix of [", rows, ", ", size, "] (expected [",
                  word_rows + s.buckets, ", ", s.size, "])");

  if (static_cast<std::uint64_t>(rows) > in.most() / 4 / static_cast<std::uint64_t>(size))
    fail<IoError>(who, ": ", in.name(), ": the file is too small for a matrix of [", rows, ", ", size, "]");

  // The words to be made, and for each row of the matrix who uses it.
  std::vector<std::string> words;
  std::vector<std::pair<std::int64_t, std::uint32_t>> uses;  // row of the matrix, word
  std::vector<std::uint32_t> parts;
  const auto want = [&](const std::string& w, std::int64_t row) {
    const auto me = static_cast<std::uint32_t>(words.size());
    std::uint32_t n = 0;
    const auto use = [&](std::int64_t r) { uses.emplace_back(r, me), ++n; };
    if (row >= 0) use(row);
    each_part(w, s, [&](std::uint32_t bucket) { use(word_rows + bucket); });
    if (n == 0) return;
    words.push_back(w), parts.push_back(n);
  };
  const auto first = static_cast<std::size_t>(o.max_words > 0 ? std::min(o.max_words, word_rows) : word_rows);
  VectorCollector to(vocabulary, o);
  IndexedDict<std::string> known;
  for (std::size_t i = 0; i < first; ++i) {
    if (known.push_back(file_words[i]) != static_cast<std::int64_t>(i))
      fail<IoError>(who, ": ", in.name(), ": the word ", shown(file_words[i]), " is there twice");
    if (to.wanted(file_words[i])) want(file_words[i], static_cast<std::int64_t>(i));
  }
  if (vocabulary) {
    for (const std::string& w : *vocabulary) {
      const bool lower_is_known = o.lower && known.contains(unicode::lower(w));
      if (!known.contains(w) && !lower_is_known && w != o.pad) want(w, -1);
    }
  }
  std::sort(uses.begin(), uses.end());

  std::vector<double> sums(words.size() * static_cast<std::size_t>(size));
  std::vector<float> row(static_cast<std::size_t>(size));
  std::size_t next = 0;
  for (std::int64_t r = 0; r < rows && next < uses.size(); ++r) {
    in.read(row.data(), 4 * row.size(), "the matrix");
    io::from_order(std::endian::little, reinterpret_cast<std::byte*>(row.data()), row.size(), 4);
    for (; next < uses.size() && uses[next].first == r; ++next) {
      double* sum = sums.data() + uses[next].second * row.size();
      for (std::size_t k = 0; k < row.size(); ++k) sum[k] += row[k];
    }
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t k = 0; k < row.size(); ++k)
      row[k] = static_cast<float>(sums[i * row.size() + k] / parts[i]);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
      fail<IoError>(who, ": ", in.name(), ": the vector of ", shown(words[i]), " is not finite");
    to.add(words[i], row);
  }
  return to.finish(size);
}

}  // namespace knet::detail
