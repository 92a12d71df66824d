#include "knet/models/mac_picture.hpp"

#include <algorithm>
#include <cmath>

#include "knet/base/text.hpp"
#include "knet/data/transforms.hpp"
#include "knet/io/png.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/shape.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

void check(const Tensor& picture, const Tensor& maps, int dimensions) {
  if (!picture || picture.dtype() != u8 || picture.ndim() != 3 || picture.size(0) != 3)
    fail<ShapeError>("draw_attention: the picture is ",
                     picture ? text(picture.shape(), " of ", picture.dtype()) : "empty",
                     ", expected u8 [3, height, width]");
  if (!maps || !maps.floating() || maps.ndim() != dimensions || maps.numel() == 0)
    fail<ShapeError>("draw_attention: the map is ", maps ? text(maps.shape(), " of ", maps.dtype()) : "empty",
                     ", expected floats [", dimensions == 3 ? "steps, " : "", "height, width]");
}

}  // namespace

Tensor draw_attention(const Tensor& picture, const Tensor& map) {
  check(picture, map, 2);
  const double least = map.min().item(), most = map.max().item();
  if (!(least >= 0) || !std::isfinite(most))
    fail<ValueError>("draw_attention: the map has values from ", least, " to ", most);
  const Tensor share =
      clamp(transforms::resize((map / std::max(most, 1e-30)).to(f32).unsqueeze(0), picture.size(1),
                               picture.size(2), transforms::Filter::bicubic),
            0, 1);
  constexpr double dark = 0.25;
  return (picture.to(f32) * (share * (1 - dark) + dark) + 0.5).to(u8);
}

Tensor draw_steps(const Tensor& picture, const Tensor& cells) {
  check(picture, cells, 3);
  std::vector<Tensor> all{picture};
  for (Int i = 0; i < cells.size(0); ++i) all.push_back(draw_attention(picture, cells.select(0, i)));
  return io::image_grid(stack(all, 0), static_cast<Int>(all.size()), 4);
}

std::string show_steps(const std::vector<std::string>& words, const Tensor& weights) {
  if (!weights || weights.ndim() != 2 || weights.size(1) < static_cast<Int>(words.size()) || words.empty())
    fail<ShapeError>("show_steps: weights are ", weights ? text(weights.shape()) : "empty",
                     ", expected [steps, ", words.size(), "] for ", words.size(), " words");
  std::string out;
  for (Int i = 0; i < weights.size(0); ++i) {
    const auto w = weights.select(0, i).to_vector<double>();
    const auto best = std::max_element(w.begin(), w.begin() + static_cast<Int>(words.size())) - w.begin();
    out += std::to_string(i + 1) + ":";
    for (std::size_t t = 0; t < words.size(); ++t) {
      const bool first = static_cast<Int>(t) == best;
      out += std::string(first ? " [" : " ") + words[t] + (first ? "] " : " ") +
             std::to_string(std::lround(100 * w[t]));
    }
    out += "\n";
  }
  return out;
}

}  // namespace knet::models
