#include "knet/io/image.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/image_codec.hpp"
#include "knet/io/input_file.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::initializer_list<int> head) {
  return bytes.size() >= head.size() &&
         std::equal(head.begin(), head.end(), bytes.begin(),
                    [](int a, std::byte b) { return a == std::to_integer<int>(b); });
}

// Where pixel (y, x) of the turned image lies in the stored one: offset, and the steps to the next in y and
// x.
struct Walk {
  std::int64_t start, dy, dx;
};
Walk walk(int orientation, std::int64_t h, std::int64_t w) {
  const std::int64_t right = w - 1, bottom = (h - 1) * w;
  switch (orientation) {
    case 2: return {right, w, -1};
    case 3: return {bottom + right, -w, -1};
    case 4: return {bottom, -w, 1};
    case 5: return {0, 1, w};
    case 6: return {bottom, 1, -w};
    case 7: return {bottom + right, -1, -w};
    case 8: return {right, -1, w};
    default: return {0, w, 1};
  }
}

std::uint8_t luma(const std::uint8_t* p) {
  return static_cast<std::uint8_t>((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000u) >> 16);
}

void convert(const std::uint8_t* from, std::int64_t have, std::uint8_t* to, std::int64_t want) {
  const bool colour = have >= 3, alpha = have == 2 || have == 4;
  if (want >= 3)
    for (int i = 0; i < 3; ++i) to[i] = from[colour ? i : 0];
  else
    to[0] = colour ? luma(from) : from[0];
  if (want == 2 || want == 4) to[want - 1] = alpha ? from[have - 1] : std::uint8_t{255};
}

Tensor to_tensor(const Pixels& p, const ImageOptions& o) {
  const bool turned = o.orient && p.orientation >= 5;
  const std::int64_t h = turned ? p.width : p.height, w = turned ? p.height : p.width;
  const std::int64_t channels = o.channels ? o.channels : p.channels;
  Tensor t = Tensor::make({h, w, channels}, u8, cpu);
  auto* to = t.data<std::uint8_t>();
  const Walk s = walk(o.orient ? p.orientation : 1, p.height, p.width);
  if (s.dx == 1 && s.dy == p.width && channels == p.channels) {
    std::copy(p.values.begin(), p.values.end(), to);
  } else {
    for (std::int64_t y = 0; y < h; ++y)
      for (std::int64_t x = 0; x < w; ++x, to += channels)
        convert(p.values.data() + (s.start + y * s.dy + x * s.dx) * p.channels, p.channels, to, channels);
  }
  return t.permute({2, 0, 1});
}

}  // namespace

void check_image_size(const ImageFile& f, const ImageOptions& o, std::uint64_t width, std::uint64_t height) {
  const auto most = static_cast<std::uint64_t>(std::max<std::int64_t>(o.max_pixels, 0));
  if (width == 0 || height == 0 || width > 1u << 30 || height > 1u << 30 || width > most / height)
    fail<IoError>("read_image: ", f.name, ": is ", width, " x ", height, " pixels (expected 1 to ",
                  o.max_pixels, " in all)");
}

int exif_orientation(std::span<const std::byte> b) {
  if (b.size() < 8) return 1;
  const bool little = starts_with(b, {'I', 'I', 42, 0});
  if (!little && !starts_with(b, {'M', 'M', 0, 42})) return 1;
  const auto number = [&](std::size_t at, std::size_t n) {
    std::size_t v = 0;
    for (std::size_t i = 0; i < n; ++i)
      v = v << 8 | std::to_integer<std::size_t>(b[at + (little ? n - 1 - i : i)]);
    return v;
  };
  const std::size_t directory = number(4, 4);
  if (directory > b.size() - 2) return 1;
  const std::size_t entries = std::min(number(directory, 2), (b.size() - 2 - directory) / 12);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (number(at, 2) != 0x0112) continue;
    const std::size_t v = number(at + 8, 2);  // one SHORT, stored in place of the offset
    return number(at + 2, 2) == 3 && v >= 1 && v <= 8 ? static_cast<int>(v) : 1;
  }
  return 1;
}

Pixels to_pixels(const char* who, const Tensor& image) {
  check_defined(who, image);
  const int n = image.ndim();
  const std::int64_t channels = n == 3 ? image.size(0) : 1;
  if (n < 2 || n > 3 || (channels != 1 && channels != 3) || image.numel() == 0)
    fail<ShapeError>(who, ": image is ", image.shape(), ", expected [H, W], [1, H, W] or [3, H, W]");
  if (image.dtype() != u8 && !image.floating())
    fail<DTypeError>(who, ": expects floating values or u8, not ", image.dtype());
  Pixels p;
  p.height = image.size(-2), p.width = image.size(-1), p.channels = channels;
  const Tensor flat = image.detach().reshape({channels, p.height, p.width}).permute({1, 2, 0}).contiguous();
  if (image.dtype() == u8) {
    const auto v = flat.span<std::uint8_t>();
    p.values.assign(v.begin(), v.end());
    return p;
  }
  p.values.reserve(static_cast<std::size_t>(flat.numel()));
  for (double v : flat.to_vector<double>())
    p.values.push_back(v > 0 ? static_cast<std::uint8_t>(std::lround(std::min(v, 1.0) * 255))
                             : std::uint8_t{0});
  return p;
}

Tensor read_image(std::span<const std::byte> file, const ImageOptions& o, const std::string& name) {
  if (o.channels != 0 && o.channels != 1 && o.channels != 3 && o.channels != 4)
    fail<ValueError>("read_image: channels = ", o.channels, " (expected 0, 1, 3 or 4)");
  const ImageFile f{file, name};
  if (starts_with(file, {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'})) return to_tensor(decode_png(f, o), o);
  if (starts_with(file, {0xff, 0xd8, 0xff})) return to_tensor(decode_jpeg(f, o), o);
  fail<IoError>("read_image: ", name, ": is neither PNG nor JPEG (", file.size(), " bytes)");
}

Tensor read_image(const std::string& path, const ImageOptions& o) {
  InputFile f("read_image", path);
  constexpr std::uint64_t most = std::uint64_t{1} << 32;
  if (f.size() > most)
    fail<IoError>("read_image: ", path, ": has ", f.size(), " bytes (expected at most ", most, ")");
  std::vector<std::byte> bytes(static_cast<std::size_t>(f.size()));
  f.read_all(bytes.data(), bytes.size());
  return read_image(bytes, o, path);
}

}  // namespace knet::io
