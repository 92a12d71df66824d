// Images made ready for a model: resized, cropped, flipped, their colours changed, turned into numbers. The
// functions take one image [C, H, W], u8 or floating, and give a new one; on u8 their results are the bits of
// PIL 11 and of torchvision on PIL images (PIL 13 may resize the columns first, and then differs by a grey
// level). Memory keeps the channels of a pixel side by side.
//
//   transforms::Pipeline prepare{transforms::RandomResizedCrop{.height = 224, .width = 224},
//                                transforms::RandomFlip{}, transforms::to_float, transforms::Normalize{}};
//   Tensor x = prepare(io::read_image("cat.jpg"), generator);
#pragma once
#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

#include "knet/device/random.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::transforms {

/// PIL's resampling filters. All but `nearest` widen with the reduction, so that small images do not alias.
enum class Filter { nearest, box, bilinear, bicubic, lanczos };

/// To exactly height x width. u8 is rounded after each direction, as in PIL; every channel on its own.
Tensor resize(const Tensor& image, std::int64_t height, std::int64_t width, Filter = Filter::bilinear);
/// To `side` on the shorter side, the longer in proportion (rounded down).
Tensor resize_shorter(const Tensor& image, std::int64_t side, Filter = Filter::bilinear);

/// The rows top .. top + height and columns left .. left + width; ShapeError where they leave the image.
Tensor crop(const Tensor& image, std::int64_t top, std::int64_t left, std::int64_t height,
            std::int64_t width);
/// The middle; a smaller image is padded with zeros first.
Tensor center_crop(const Tensor& image, std::int64_t height, std::int64_t width);

/// Left and right exchanged; top and bottom exchanged.
Tensor hflip(const Tensor& image);
Tensor vflip(const Tensor& image);

/// What lies outside: a value; the nearest pixel; mirrored without and with the pixel at the edge.
enum class PadMode { constant, edge, reflect, symmetric };
struct Padding {
  std::int64_t left = 0, top = 0, right = 0, bottom = 0;
};
/// ValueError for negative sizes, and for mirrors larger than the image.
Tensor pad(const Tensor& image, const Padding&, PadMode = PadMode::constant, double value = 0);

/// 0.299 R + 0.587 G + 0.114 B, once or (channels = 3) three times.
Tensor grayscale(const Tensor& image, std::int64_t channels = 1);
/// Blends [3, H, W] or [1, H, W] u8 with black, with its mean grey, with its grey image: 0 gives that, 1 the
/// image itself, more than 1 exaggerates.
Tensor adjust_brightness(const Tensor& image, double factor);
Tensor adjust_contrast(const Tensor& image, double factor);
Tensor adjust_saturation(const Tensor& image, double factor);
/// Turns the hue by `shift` of a circle, -0.5 to 0.5, in PIL's HSV of 8 bits.
Tensor adjust_hue(const Tensor& image, double shift);

/// u8 0 ... 255 as 0 ... 1 of the default dtype; floating values change their dtype only.
Tensor to_float(const Tensor& image);
/// Mean and standard deviation of ImageNet's channels, of values from 0 to 1.
inline constexpr std::array<double, 3> imagenet_mean = {0.485, 0.456, 0.406};
inline constexpr std::array<double, 3> imagenet_std = {0.229, 0.224, 0.225};
/// (x - mean) / std by channel; x floating, [C, H, W] or [N, C, H, W].
Tensor normalize(const Tensor& x, const std::vector<double>& mean, const std::vector<double>& std);

// ---- as objects, for pipelines; random ones take their numbers from a generator ----
struct Resize {
  std::int64_t height = 0, width = 0;  ///< width 0: `height` is the shorter side
  Filter filter = Filter::bilinear;
  Tensor operator()(const Tensor& image) const;
};
struct CenterCrop {
  std::int64_t height = 0, width = 0;  ///< width 0: square
  Tensor operator()(const Tensor& image) const;
};
struct Normalize {
  std::vector<double> mean{imagenet_mean.begin(), imagenet_mean.end()};
  std::vector<double> std{imagenet_std.begin(), imagenet_std.end()};
  Tensor operator()(const Tensor& x) const { return normalize(x, mean, std); }
};
/// Somewhere in the image, padded first.
struct RandomCrop {
  std::int64_t height = 0, width = 0;  ///< width 0: square
  std::int64_t padding = 0;            ///< on every side
  PadMode mode = PadMode::constant;
  Tensor operator()(const Tensor& image, Generator&) const;
};
/// A part of random area and form, resized (Szegedy et al. 2015, arXiv:1409.4842). Ten tries find a part that
/// lies inside; after them the largest middle part of a permitted form.
struct RandomResizedCrop {
  std::int64_t height = 224, width = 224;
  std::array<double, 2> scale = {0.08, 1.0};         ///< of the image's area
  std::array<double, 2> ratio = {3.0 / 4, 4.0 / 3};  ///< width / height, drawn evenly in its logarithm
  Filter filter = Filter::bilinear;
  Tensor operator()(const Tensor& image, Generator&) const;
};
/// Left and right (or top and bottom) exchanged with this probability.
struct RandomFlip {
  double probability = 0.5;
  bool vertical = false;
  Tensor operator()(const Tensor& image, Generator&) const;
};
/// Factors from [max(0, 1 - b), 1 + b], hue from [-hue, hue], applied in random order; 0 leaves one out.
struct ColorJitter {
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  Tensor operator()(const Tensor& image, Generator&) const;
};
struct RandomGrayscale {
  double probability = 0.1;
  Tensor operator()(const Tensor& image, Generator&) const;
};

/// Steps one after the other. A step is anything that takes a Tensor, or a Tensor and a Generator.
class Pipeline {
 public:
  class Step {
   public:
    template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Step> &&
             (std::invocable<const F&, const Tensor&> || std::invocable<const F&, const Tensor&, Generator&>))
        Step(F f) {
      if constexpr (std::invocable<const F&, const Tensor&, Generator&>)
        run_ = std::move(f);
      else
        run_ = [f = std::move(f)](const Tensor& x, Generator&) { return f(x); };
    }
    Tensor operator()(const Tensor& x, Generator& g) const { return run_(x, g); }

   private:
    std::function<Tensor(const Tensor&, Generator&)> run_;
  };

  Pipeline() = default;
  Pipeline(std::initializer_list<Step> steps) : steps_(steps) {}
  Pipeline& add(Step s) {
    steps_.push_back(std::move(s));
    return *this;
  }
  bool empty() const { return steps_.empty(); }
  Tensor operator()(const Tensor& image, Generator&) const;
  /// With numbers of the process-wide generator.
  Tensor operator()(const Tensor& image) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace knet::transforms
