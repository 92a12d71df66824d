#include "knet/text/word_vectors.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/text/json_file.hpp"

namespace knet {

Embed embed(const WordVectors& v, bool frozen) {
  if (v.vectors.ndim() != 2 || v.vectors.numel() == 0)
    fail<ShapeError>("embed: word vectors of shape ", v.vectors.shape(), " (expected [V, D], not empty)");
  Embed e{.input = v.vectors.size(0),
          .output = v.vectors.size(1),
          .dtype = v.vectors.dtype(),
          .weight = v.vectors};
  e.weight.freeze(frozen);
  return e;
}

namespace {

using Vector = std::vector<double>;

void normalize_length(Vector& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  if (sum == 0) return;
  for (double& x : v) x /= std::sqrt(sum);
}
Vector unit_row(const WordVectors& v, const std::string& word) {
  const std::int64_t i = v.words.get(word, -1);
  if (i < 0) fail<ValueError>("nearest: ", detail::shown(word), " has no vector");
  Vector r = v.vectors(i).to_vector<double>();
  normalize_length(r);
  return r;
}

std::vector<Neighbour> nearest_to(const WordVectors& v, Vector target, std::int64_t count,
                                  const std::vector<std::string>& except) {
  if (v.vectors.ndim() != 2 || v.vectors.size(1) != static_cast<std::int64_t>(target.size()))
    fail<ShapeError>("nearest: a vector of ", target.size(), " numbers, word vectors of shape ",
                     v.vectors.shape());
  if (count < 0) fail<ValueError>("nearest: a count of ", count);
  normalize_length(target);
  const Tensor table = v.vectors.to(f32).contiguous();
  const float* p = table.data<float>();
  const std::int64_t d = table.size(1);
  const Tensor known = v.known ? v.known.contiguous() : Tensor();
  std::vector<std::int64_t> left_out;
  for (const auto& w : except) left_out.push_back(v.words.get(w, -1));
  std::vector<std::pair<double, std::int64_t>> found;
  for (std::int64_t i = 0; i < table.size(0); ++i, p += d) {
    if ((known && !known.data<bool>()[i]) || std::count(left_out.begin(), left_out.end(), i) > 0) continue;
    double dot = 0, length = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double x = p[k];
      dot += x * target[static_cast<std::size_t>(k)];
      length += x * x;
    }
    if (length > 0) found.emplace_back(-dot / std::sqrt(length), i);
  }
  const auto n = std::min(static_cast<std::ptrdiff_t>(count), static_cast<std::ptrdiff_t>(found.size()));
  std::partial_sort(found.begin(), found.begin() + n, found.end());
  std::vector<Neighbour> r;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const auto& [negative, row] = found[static_cast<std::size_t>(i)];
    r.push_back({v.words.element(row), -negative});
  }
  return r;
}

}  // namespace

std::vector<Neighbour> nearest(const WordVectors& v, const std::string& word, std::int64_t count) {
  return nearest_to(v, unit_row(v, word), count, {word});
}
std::vector<Neighbour> nearest(const WordVectors& v, const Tensor& vector, std::int64_t count,
                               const std::vector<std::string>& except) {
  return nearest_to(v, vector.to_vector<double>(), count, except);
}
std::vector<Neighbour> analogy(const WordVectors& v, const std::string& a, const std::string& b,
                               const std::string& c, std::int64_t count) {
  Vector r = unit_row(v, a);
  const Vector minus = unit_row(v, b), plus = unit_row(v, c);
  for (std::size_t i = 0; i < r.size(); ++i) r[i] += plus[i] - minus[i];
  return nearest_to(v, std::move(r), count, {a, b, c});
}

void save_word_vectors(const std::string& path, const WordVectors& v) {
  io::AtomicFile file(path);
  const Tensor table = v.vectors.to(f32).contiguous();
  const float* p = table.data<float>();
  std::string line;
  for (const std::string& w : v.words) {
    if (w.empty() || w.find_first_of(" \n\r") != std::string::npos)
      fail<ValueError>("save_word_vectors: ", path, ": the word ", detail::shown(w),
                       " is empty or has a blank in it");
    line = w;
    for (std::int64_t k = 0; k < table.size(1); ++k) {
      char number[32];
      const auto last = std::to_chars(number, number + sizeof number, *p++).ptr;
      (line += ' ').append(number, last);
    }
    line += '\n';
    file.write(line.data(), line.size());
  }
  file.commit();
}

}  // namespace knet
