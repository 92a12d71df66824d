// Random numbers by counting: number i of a stream is a function of (key, i) alone, so that they are the same
// for any number of threads and on any device. Philox4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", 2011).
#pragma once
#include <cstdint>

namespace knet {

/// Names one stream of random numbers.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  friend bool operator==(const RandomKey&, const RandomKey&) = default;
};

/// A source of streams. Every random tensor takes the next stream; split() makes an independent source.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0) : key_{seed, 0} {}
  /// A key nobody got before from this generator.
  RandomKey next() { return {key_.seed, key_.stream++}; }
  /// An independent generator; the same one again for the same state.
  Generator split();
  /// State to save and to go on from, bit for bit.
  RandomKey state() const { return key_; }
  void set_state(RandomKey s) { key_ = s; }

 private:
  RandomKey key_;
};

/// Restarts the process-wide generator: the same numbers after the same seed.
void seed(std::uint64_t);
/// The next key of the process-wide generator. Thread safe.
RandomKey next_random_key();
/// State of the process-wide generator, for checkpoints.
RandomKey random_state();
void set_random_state(RandomKey);

namespace philox {
/// Four 32-bit numbers of block `counter` of the stream.
inline void block(RandomKey key, std::uint64_t counter, std::uint32_t out[4]) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32),
                c2 = static_cast<std::uint32_t>(key.stream),
                c3 = static_cast<std::uint32_t>(key.stream >> 32), k0 = static_cast<std::uint32_t>(key.seed),
                k1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c0, b = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0,
                        n1 = static_cast<std::uint32_t>(b),
                        n2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1,
                        n3 = static_cast<std::uint32_t>(a);
    c0 = n0, c1 = n1, c2 = n2, c3 = n3;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}
/// Number `i` of the stream, uniform in [0, 2^32).
inline std::uint32_t number(RandomKey key, std::uint64_t i) {
  std::uint32_t r[4];
  block(key, i / 4, r);
  return r[i % 4];
}
/// Uniform in [0, 1): 24 bits for float, 32 bits spread over double.
inline float to_unit_float(std::uint32_t u) { return static_cast<float>(u >> 8) * 0x1p-24f; }
inline double to_unit_double(std::uint32_t u) { return static_cast<double>(u) * 0x1p-32; }
}  // namespace philox

}  // namespace knet
