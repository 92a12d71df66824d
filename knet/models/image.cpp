#include "knet/models/image.hpp"

#include <cmath>
#include <utility>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/io/image.hpp"
#include "knet/io/input_file.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"

namespace knet::models {

Tensor preprocess(const Tensor& image, const Preprocessing& p) {
  if (p.crop < 1 || p.resize < p.crop)
    fail<ValueError>("preprocess: resize ", p.resize, " and crop ", p.crop,
                     "; 1 <= crop <= resize is expected");
  if (image.ndim() != 3 || image.size(0) != 3)
    fail<ShapeError>("preprocess: an image ", image.shape(), "; [3, H, W] is expected");
  if (image.dtype() != u8) fail<DTypeError>("preprocess: an image of ", image.dtype(), "; u8 is expected");
  using namespace transforms;
  return normalize(to_float(center_crop(resize_shorter(image, p.resize), p.crop, p.crop)),
                   {p.mean.begin(), p.mean.end()}, {p.std.begin(), p.std.end()});
}
Tensor preprocess(const std::string& file, const Preprocessing& p) {
  return preprocess(io::read_image(file), p);
}
Tensor preprocess(const std::vector<std::string>& files, const Preprocessing& p) {
  std::vector<Tensor> all;
  all.reserve(files.size());
  for (const std::string& f : files) all.push_back(preprocess(f, p));
  return stack(all);
}

std::vector<std::string> read_labels(const std::string& file) {
  io::InputFile in("read_labels", file);
  constexpr std::uint64_t most = 64'000'000;
  if (in.size() > most)
    fail<IoError>("read_labels: ", file, " has ", in.size(), " bytes; at most ", most, " are read");
  std::string text(static_cast<std::size_t>(in.size()), '\0');
  in.read_all(text.data(), text.size());
  std::vector<std::string> labels;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(std::move(line));
    begin = end + 1;
  }
  if (labels.empty()) fail<IoError>("read_labels: ", file, " has no lines");
  return labels;
}

std::vector<Prediction> top_k(const Tensor& logits, std::int64_t k, const std::vector<std::string>& labels) {
  if (logits.ndim() != 1 && !(logits.ndim() == 2 && logits.size(0) == 1))
    fail<ShapeError>("top_k: logits ", logits.shape(), "; [C] or [1, C] is expected");
  const std::int64_t classes = logits.numel();
  if (k < 1 || k > classes) fail<ValueError>("top_k: k = ", k, " of ", classes, " classes");
  if (!labels.empty() && std::cmp_not_equal(labels.size(), classes))
    fail<ValueError>("top_k: ", labels.size(), " labels for ", classes, " classes");
  const NoGrad off;
  const auto [values, indices] = topk(softmax(logits.reshape({classes}).to(f64)), k);
  const Tensor p = values.contiguous(), at = indices.contiguous();
  std::vector<Prediction> best;
  for (std::int64_t i = 0; i < k; ++i) {
    const std::int64_t index = at.data<std::int64_t>()[i];
    const double probability = p.data<double>()[i];
    if (std::isnan(probability)) fail<ValueError>("top_k: the logits are not all finite numbers");
    best.push_back(
        {labels.empty() ? std::string() : labels[static_cast<std::size_t>(index)], index, probability});
  }
  return best;
}

}  // namespace knet::models
