// WAV: sound as a tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// Sound: samples [channels, samples] in f32, rate in samples a second.
struct Wav {
  Tensor samples;
  std::int64_t rate = 0;
};
/// How samples are stored: integers of 8 (unsigned), 16, 24 and 32 bits, floats of 32 and 64.
enum class WavFormat : std::uint8_t { pcm8, pcm16, pcm24, pcm32, float32, float64 };
/// Options of save_wav.
struct WavOptions {
  WavFormat format = WavFormat::pcm16;
};

/// Reads a RIFF WAVE file, plain or extensible. Integers become v / 2^(bits-1), from -1 up to just below 1;
/// floats are as they are. IoError for compressed sound (mu-law, ADPCM ...), RF64 and anything unsound.
Wav load_wav(const std::string& path);
/// The same from memory; `name` stands for the path in messages.
Wav parse_wav(std::span<const std::byte> bytes, const std::string& name = "memory");
/// Writes floating samples [channels, samples] or [samples] atomically. Integers are rounded (halves away
/// from zero) and clamped, NaN becomes 0. More than two channels are written as extensible, without
/// loudspeaker positions. ShapeError, DTypeError; ValueError for a rate outside 1 to 2^32 - 1; IoError above
/// 4 GB, which the format can not hold.
void save_wav(const std::string& path, const Tensor& samples, std::int64_t rate, const WavOptions& = {});

}  // namespace knet::io
