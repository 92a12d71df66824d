// A filter for sound that runs while the sound is played: every 64 samples a callback must be done long
// before the next 64 come. The network is compiled to a plan, which neither allocates nor locks.
//
//   realtime [seconds of sound, 10]
#include <knet/knet.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using namespace knet;

constexpr std::int64_t block = 64, hidden = 32;
constexpr double rate = 48000;

// A recurrent amplifier, as guitar amplifiers are modelled (Wright et al. 2019): one sample in, one out.
struct Amplifier {
  LSTM lstm{.input = 1, .hidden = hidden};
  Linear output{.input = hidden, .output = 1};

  auto operator()(const Tensor& x, const Tensor& h, const Tensor& c) const {
    const RNNOutput r = lstm(x, {.hidden = h, .memory = c});
    return std::tuple(output(r.y) + x, r.hidden, r.memory);
  }
};

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  const auto blocks = static_cast<std::size_t>(std::max(1.0, seconds * rate / block));
  set_threads(1);  // the callback waits for nobody
  seed(1);
  const Amplifier amplifier;
  const Tensor state = zeros({1, 1, hidden});
  const Plan plan = compile(amplifier, rand({1, block, 1}), state, state);
  std::printf("%zu kernels, %zu bytes\n", plan.calls().size(), plan.memory());

  std::vector<double> micros(blocks);
  std::vector<float> played;
  played.reserve(blocks * block);
  std::thread callback([&] {
    const auto in = plan.input<float>(0), h = plan.input<float>(1), c = plan.input<float>(2);
    const auto out = plan.output<float>(0), next_h = plan.output<float>(1), next_c = plan.output<float>(2);
    plan.run();  // the first call on a thread gets its scratch memory
    std::ranges::fill(h, 0.f), std::ranges::fill(c, 0.f);
    for (std::size_t i = 0; i < blocks; ++i) {
      for (std::size_t k = 0; k < in.size(); ++k)
        in[k] = static_cast<float>(0.5 * std::sin(440 * 6.2832 * static_cast<double>(i * block + k) / rate));
      const auto begin = std::chrono::steady_clock::now();
      plan.run();
      std::ranges::copy(next_h, h.begin());  // the next block goes on from here
      std::ranges::copy(next_c, c.begin());
      micros[i] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
      played.insert(played.end(), out.begin(), out.end());
    }
  });
  callback.join();

  // The model hears the first second in one piece.
  const auto n = std::min<std::int64_t>(static_cast<std::int64_t>(played.size()), 48000);
  std::vector<float> sound(static_cast<std::size_t>(n));
  for (std::size_t k = 0; k < sound.size(); ++k)
    sound[k] = static_cast<float>(0.5 * std::sin(440 * 6.2832 * static_cast<double>(k) / rate));
  const Tensor expected = std::get<0>(amplifier(Tensor(sound, {1, n, 1}), state, state));
  played.resize(sound.size());
  const double difference = abs(expected - Tensor(played, {1, n, 1})).max().item();

  std::ranges::sort(micros);
  std::printf("blocks of %.0f us: median %.1f us, 99.9 %% within %.1f us, worst %.1f us\n",
              1e6 * block / rate, micros[blocks / 2], micros[std::min(blocks - 1, blocks * 999 / 1000)],
              micros.back());
  std::printf("difference from the model: %.1e\n", difference);
  return difference < 1e-4 ? 0 : 1;
}
