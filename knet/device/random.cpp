#include "knet/device/random.hpp"

#include <mutex>

namespace knet {
namespace {
std::mutex mutex;
Generator& global() {
  static Generator g{0x6b6e6574};
  return g;
}
}  // namespace

Generator Generator::split() {
  std::uint32_t r[4];
  const RandomKey k = next();
  philox::block({k.seed ^ 0x9E3779B97F4A7C15u, k.stream}, ~std::uint64_t{0}, r);
  return Generator(std::uint64_t{r[0]} << 32 | r[1]);
}

void seed(std::uint64_t s) {
  std::lock_guard lock(mutex);
  global() = Generator(s);
}
RandomKey next_random_key() {
  std::lock_guard lock(mutex);
  return global().next();
}
RandomKey random_state() {
  std::lock_guard lock(mutex);
  return global().state();
}
void set_random_state(RandomKey s) {
  std::lock_guard lock(mutex);
  global().set_state(s);
}

}  // namespace knet
