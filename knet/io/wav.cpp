#include "knet/io/wav.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/byte_source.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

constexpr std::uint32_t tag(const char (&s)[5]) {
  std::uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = v << 8 | static_cast<unsigned char>(s[i]);
  return v;
}
constexpr std::uint16_t pcm = 1, ieee = 3, extensible = 0xfffe;
// What follows the format's number in an extensible header's GUID.
constexpr unsigned char guid_rest[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};

struct Layout {
  int channels = 0, bytes = 0;  // of a sample
  bool real = false;
  std::int64_t rate = 0;
};

Layout read_layout(const ByteSource& s, std::uint64_t at, std::uint64_t size) {
  if (size < 16) s.bad("has a format of ", size, " bytes (expected at least 16)");
  ByteCursor c(s, at, at + size);
  auto kind = c.number<std::uint16_t>("the format");
  const auto channels = c.number<std::uint16_t>("the format");
  const auto rate = c.number<std::uint32_t>("the format");
  c.skip(4, "the format");
  const auto frame = c.number<std::uint16_t>("the format"), bits = c.number<std::uint16_t>("the format");
  if (kind == extensible) {
    if (size < 40) s.bad("has an extensible format of ", size, " bytes (expected at least 40)");
    c.skip(8, "the format");
    kind = c.number<std::uint16_t>("the format");
    for (const auto g : guid_rest) {
      if (c.number<std::uint8_t>("the format") != g) s.bad("has an extensible format of an unknown kind");
    }
  }
  if (kind != pcm && kind != ieee)
    s.bad("has sound of format ", kind, ", which is not supported (expected 1, PCM, or 3, float)");
  const bool sound =
      kind == pcm ? bits == 8 || bits == 16 || bits == 24 || bits == 32 : bits == 32 || bits == 64;
  if (!sound)
    s.bad("has ", kind == pcm ? "PCM" : "float", " samples of ", bits, " bits, which is not supported");
  if (channels == 0 || rate == 0) s.bad("has ", channels, " channels at a rate of ", rate);
  if (frame != channels * (bits / 8))
    s.bad("has frames of ", frame, " bytes; ", channels, " channels of ", bits, " bits need ",
          channels * (bits / 8));
  return {channels, bits / 8, kind == ieee, rate};
}

float sample(const unsigned char* p, int bytes, bool real) {
  std::uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; --i) v = v << 8 | p[i];
  if (real)
    return bytes == 4 ? std::bit_cast<float>(static_cast<std::uint32_t>(v))
                      : static_cast<float>(std::bit_cast<double>(v));
  if (bytes == 1) return (static_cast<float>(v) - 128) / 128;
  // At the top of 32 bits, so that the sign is where it belongs.
  const auto top = static_cast<std::int32_t>(static_cast<std::uint32_t>(v << (32 - 8 * bytes)));
  return static_cast<float>(static_cast<double>(top) / 2147483648.0);
}

Wav read(const ByteSource& s) {
  ByteCursor c(s, 0, s.size());
  if (s.size() < 12) s.bad("has ", s.size(), " bytes (expected a WAV file of at least 44)");
  const auto riff = c.number<std::uint32_t>("the header");
  c.skip(4, "the header");  // the size of it all, which writers of streams get wrong
  const auto wave = c.number<std::uint32_t>("the header");
  if (riff == tag("RF64")) s.bad("is RF64, which is not supported");
  if (riff != tag("RIFF") || wave != tag("WAVE")) s.bad("is not WAV: it does not begin with RIFF and WAVE");
  Layout l;
  while (c.left() >= 8) {
    const auto id = c.number<std::uint32_t>("a chunk");
    const std::uint64_t size = c.number<std::uint32_t>("a chunk"), at = c.position();
    if (size > c.left()) s.bad("truncated: a chunk of ", size, " bytes at ", at, " of ", s.size());
    if (id == tag("fmt ")) {
      if (l.channels) s.bad("has two formats");
      l = read_layout(s, at, size);
    } else if (id == tag("data")) {
      if (!l.channels) s.bad("has its samples before their format");
      const auto frame = static_cast<std::uint64_t>(l.channels) * static_cast<std::uint64_t>(l.bytes);
      if (size % frame != 0) s.bad("has ", size, " bytes of samples, which are not whole frames of ", frame);
      const auto n = static_cast<std::int64_t>(size / frame);
      Wav w{Tensor::make({l.channels, n}, f32, cpu), l.rate};
      auto* to = reinterpret_cast<float*>(TensorAccess::data(w.samples));
      std::vector<unsigned char> piece(static_cast<std::size_t>(std::min<std::uint64_t>(size, frame * 4096)));
      for (std::int64_t i = 0; i < n;) {
        const std::int64_t m = std::min<std::int64_t>(4096, n - i);
        c.read(piece.data(), static_cast<std::size_t>(m) * static_cast<std::size_t>(frame), "the samples");
        const unsigned char* p = piece.data();
        for (std::int64_t k = i; k < i + m; ++k) {
          for (std::int64_t ch = 0; ch < l.channels; ++ch, p += l.bytes)
            to[ch * n + k] = sample(p, l.bytes, l.real);
        }
        i += m;
      }
      return w;
    }
    c.skip(std::min<std::uint64_t>(at + size + size % 2 - c.position(), c.left()), "a chunk");
  }
  s.bad("truncated: it has no samples");
}

struct Out {
  std::vector<unsigned char> bytes;
  void put(std::uint64_t v, int n) {
    for (int i = 0; i < n; ++i) bytes.push_back(static_cast<unsigned char>(v >> 8 * i));
  }
};

// The sample as the number whose low bytes are written.
std::uint64_t stored(double v, WavFormat f, int bytes) {
  if (f == WavFormat::float32) return std::bit_cast<std::uint32_t>(static_cast<float>(v));
  if (f == WavFormat::float64) return std::bit_cast<std::uint64_t>(v);
  const double top = std::ldexp(1.0, 8 * bytes - 1);
  const double clamped = std::isnan(v) ? 0 : std::clamp(v * top, -top, top - 1);
  const auto i = std::llround(clamped);
  return static_cast<std::uint64_t>(f == WavFormat::pcm8 ? i + 128 : i);
}

}  // namespace

Wav load_wav(const std::string& path) { return read(ByteSource("load_wav", path)); }
Wav parse_wav(std::span<const std::byte> bytes, const std::string& name) {
  return read(ByteSource("load_wav", bytes, name));
}

void save_wav(const std::string& path, const Tensor& samples, std::int64_t rate, const WavOptions& options) {
  check_defined("save_wav", samples);
  if (samples.ndim() < 1 || samples.ndim() > 2)
    fail<ShapeError>("save_wav: samples are ", samples.shape(),
                     ", expected [channels, samples] or [samples]");
  const std::int64_t channels = samples.ndim() == 2 ? samples.size(0) : 1, n = samples.size(-1);
  if (!samples.floating()) fail<DTypeError>("save_wav: expects floating samples, not ", samples.dtype());
  if (rate < 1 || rate > 0xffffffff)
    fail<ValueError>("save_wav: a rate of ", rate, " (expected 1 to 4294967295)");
  const WavFormat f = options.format;
  const bool real = f >= WavFormat::float32;
  const int bytes = f == WavFormat::float64 ? 8 : real ? 4 : 1 + static_cast<int>(f);
  if (channels < 1 || channels * bytes > 0xffff)
    fail<ShapeError>("save_wav: ", channels, " channels (expected 1 to ", 0xffff / bytes, ")");
  const std::int64_t frame = channels * bytes, size = n * frame;
  if (n > (std::int64_t{0xffffffff} - 128) / frame)
    fail<IoError>("save_wav: ", path, ": ", n, " frames of ", frame, " bytes are more than a WAV file holds");
  const bool wide = channels > 2;
  const int head = wide ? 40 : real ? 18 : 16;
  Out o;
  o.put(tag("RIFF"), 4),
      o.put(static_cast<std::uint64_t>(4 + 8 + head + (real ? 12 : 0) + 8 + size + size % 2), 4);
  o.put(tag("WAVE"), 4), o.put(tag("fmt "), 4), o.put(static_cast<std::uint64_t>(head), 4);
  const std::uint16_t kind = real ? ieee : pcm;
  o.put(wide ? extensible : kind, 2), o.put(static_cast<std::uint64_t>(channels), 2);
  o.put(static_cast<std::uint64_t>(rate), 4), o.put(static_cast<std::uint64_t>(rate * frame), 4);
  o.put(static_cast<std::uint64_t>(frame), 2), o.put(static_cast<std::uint64_t>(8 * bytes), 2);
  if (wide) {
    o.put(22, 2), o.put(static_cast<std::uint64_t>(8 * bytes), 2), o.put(0, 4), o.put(kind, 2);
    o.bytes.insert(o.bytes.end(), std::begin(guid_rest), std::end(guid_rest));
  } else if (real) {
    o.put(0, 2);
  }
  if (real) o.put(tag("fact"), 4), o.put(4, 4), o.put(static_cast<std::uint64_t>(n), 4);
  o.put(tag("data"), 4), o.put(static_cast<std::uint64_t>(size), 4);
  AtomicFile file(path);
  const std::vector<double> v = samples.detach().to_vector<double>();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t ch = 0; ch < channels; ++ch)
      o.put(stored(v[static_cast<std::size_t>(ch * n + i)], f, bytes), bytes);
    if (o.bytes.size() < (1 << 16)) continue;
    file.write(o.bytes.data(), o.bytes.size());
    o.bytes.clear();
  }
  if (size % 2) o.put(0, 1);
  file.write(o.bytes.data(), o.bytes.size());
  file.commit();
}

}  // namespace knet::io
