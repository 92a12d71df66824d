#include "knet/io/gguf_quants.hpp"

#include <bit>
#include <cmath>

namespace knet::io {
namespace {

using Byte = std::uint8_t;

float half(const Byte* p) {
  const auto bits = static_cast<std::uint32_t>(p[0] | p[1] << 8);
  const std::uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float v = std::ldexp(static_cast<float>(mantissa), -24);
  return sign ? -v : v;
}
float single(const Byte* p) {
  std::uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = v << 8 | p[i];
  return std::bit_cast<float>(v);
}
float number(int v) { return static_cast<float>(v); }
int low(Byte b) { return b & 15; }
int high(Byte b) { return b >> 4; }
int sign(Byte b) { return static_cast<std::int8_t>(b); }

// ---- blocks of 32: a scale d, perhaps a minimum m, then the numbers, the first half in the low nibbles ----
void q4_0(const Byte* b, float* y) {
  const float d = half(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = number(low(b[2 + i]) - 8) * d;
    y[i + 16] = number(high(b[2 + i]) - 8) * d;
  }
}
void q4_1(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = number(low(b[4 + i])) * d + m;
    y[i + 16] = number(high(b[4 + i])) * d + m;
  }
}
// The fifth bits of all 32 lie together.
int fifth(const Byte* bits, int i) { return (bits[i / 8] >> i % 8 & 1) << 4; }
void q5_0(const Byte* b, float* y) {
  const float d = half(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = number((low(b[6 + i]) | fifth(b + 2, i)) - 16) * d;
    y[i + 16] = number((high(b[6 + i]) | fifth(b + 2, i + 16)) - 16) * d;
  }
}
void q5_1(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = number(low(b[8 + i]) | fifth(b + 4, i)) * d + m;
    y[i + 16] = number(high(b[8 + i]) | fifth(b + 4, i + 16)) * d + m;
  }
}
void q8_0(const Byte* b, float* y) {
  const float d = half(b);
  for (int i = 0; i < 32; ++i) y[i] = number(sign(b[2 + i])) * d;
}
void q8_1(const Byte* b, float* y) {  // also has the sum, which is not needed
  const float d = half(b);
  for (int i = 0; i < 32; ++i) y[i] = number(sign(b[4 + i])) * d;
}
void iq4_nl(const Byte* b, float* y) {
  static constexpr std::int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};
  const float d = half(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = number(values[low(b[2 + i])]) * d;
    y[i + 16] = number(values[high(b[2 + i])]) * d;
  }
}

// ---- blocks of 256 ("K"): smaller ones inside with scales of their own ----
void q2_k(const Byte* b, float* y) {
  const Byte *scales = b, *q = b + 16;
  const float d = half(b + 80), m = half(b + 82);
  for (int part = 0; part < 16; ++part) {  // of 16 numbers
    const float scale = d * number(low(scales[part])), least = m * number(high(scales[part]));
    const Byte* from = q + part / 8 * 32 + part % 2 * 16;
    const int shift = part % 8 / 2 * 2;
    for (int i = 0; i < 16; ++i) *y++ = scale * number(from[i] >> shift & 3) - least;
  }
}
void q3_k(const Byte* b, float* y) {
  const Byte *mask = b, *q = b + 32, *scales = b + 96;
  const float d = half(b + 108);
  for (int part = 0; part < 16; ++part) {
    const int four = part < 8 ? low(scales[part]) : high(scales[part - 8]);
    const int two = scales[8 + part % 4] >> part / 4 * 2 & 3;
    const float scale = d * number((four | two << 4) - 32);
    const int from = part / 8 * 32 + part % 2 * 16, shift = part % 8 / 2 * 2, bit = part / 2;
    for (int i = 0; i < 16; ++i) {
      const int more = mask[part % 2 * 16 + i] >> bit & 1 ? 0 : 4;
      *y++ = scale * number((q[from + i] >> shift & 3) - more);
    }
  }
}
// Six bits each of scale and minimum of eight parts in 12 bytes.
struct ScaleMin {
  int scale, least;
};
ScaleMin scale_min(const Byte* s, int i) {
  if (i < 4) return {s[i] & 63, s[i + 4] & 63};
  return {low(s[i + 4]) | s[i - 4] >> 6 << 4, high(s[i + 4]) | s[i] >> 6 << 4};
}
void q4_k(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  for (int part = 0; part < 8; ++part) {
    const ScaleMin s = scale_min(b + 4, part);
    const float scale = d * number(s.scale), least = m * number(s.least);
    const Byte* q = b + 16 + part / 2 * 32;
    for (int i = 0; i < 32; ++i) *y++ = scale * number(part % 2 ? high(q[i]) : low(q[i])) - least;
  }
}
void q5_k(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  for (int part = 0; part < 8; ++part) {
    const ScaleMin s = scale_min(b + 4, part);
    const float scale = d * number(s.scale), least = m * number(s.least);
    const Byte *bits = b + 16, *q = b + 48 + part / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int v = (part % 2 ? high(q[i]) : low(q[i])) | (bits[i] >> part & 1) << 4;
      *y++ = scale * number(v) - least;
    }
  }
}
void q6_k(const Byte* b, float* y) {
  const Byte *ql = b, *qh = b + 128, *scales = b + 192;
  const float d = half(b + 208);
  for (int part = 0; part < 8; ++part) {  // of 32 numbers
    const int block = part / 4, in = part % 4;
    for (int i = 0; i < 32; ++i) {
      const Byte four = ql[block * 64 + in % 2 * 32 + i];
      const int two = qh[block * 32 + i] >> in * 2 & 3;
      const int v = (in < 2 ? low(four) : high(four)) | two << 4;
      *y++ = d * number(sign(scales[part * 2 + i / 16])) * number(v - 32);
    }
  }
}
void q8_k(const Byte* b, float* y) {
  const float d = single(b);
  for (int i = 0; i < 256; ++i) y[i] = d * number(sign(b[4 + i]));
}

constexpr GgufQuant quants[] = {
    {2, "Q4_0", 32, 18, q4_0},      {3, "Q4_1", 32, 20, q4_1},    {6, "Q5_0", 32, 22, q5_0},
    {7, "Q5_1", 32, 24, q5_1},      {8, "Q8_0", 32, 34, q8_0},    {9, "Q8_1", 32, 36, q8_1},
    {10, "Q2_K", 256, 84, q2_k},    {11, "Q3_K", 256, 110, q3_k}, {12, "Q4_K", 256, 144, q4_k},
    {13, "Q5_K", 256, 176, q5_k},   {14, "Q6_K", 256, 210, q6_k}, {15, "Q8_K", 256, 292, q8_k},
    {20, "IQ4_NL", 32, 18, iq4_nl},
};

}  // namespace

const GgufQuant* gguf_quant(std::uint32_t id) {
  for (const auto& q : quants) {
    if (q.id == id) return &q;
  }
  return nullptr;
}

}  // namespace knet::io
