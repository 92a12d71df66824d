#include "knet/data/pass.hpp"

#include <mutex>

#include "knet/base/text.hpp"

namespace knet {

struct Passes::Shared {
  const char* who;
  bool shuffle;
  std::uint64_t seed;
  std::mutex mutex;
  DataState now;        // what state() says
  bool open = false;    // `now` is about a pass that has begun
  bool resume = false;  // the next begin() goes on at `now`
};

Passes::Passes(const char* who, bool shuffle, std::uint64_t seed) : shared_(std::make_shared<Shared>()) {
  shared_->who = who;
  shared_->shuffle = shuffle;
  shared_->seed = shared_->now.seed = seed;
}

PassStart Passes::begin() const {
  const std::lock_guard lock(shared_->mutex);
  Shared& s = *shared_;
  DataState& now = s.now;
  // A pass that somebody left early is over.
  if (!s.resume && s.open) {
    ++now.epoch;
    now.position = 0;
  }
  const bool drawn = s.resume && (now.position > 0 || now.seed != 0 || now.stream != 0);
  if (s.seed != 0 || !s.shuffle) {
    now.seed = s.seed;
    now.stream = now.epoch;
  } else if (!drawn) {
    const RandomKey key = next_random_key();
    now.seed = key.seed;
    now.stream = key.stream;
  }
  s.resume = false;
  s.open = true;
  return {now.epoch, static_cast<std::size_t>(now.position), {now.seed, now.stream}};
}

void Passes::handed_out(std::uint64_t epoch, std::size_t position, std::size_t size) const {
  const std::lock_guard lock(shared_->mutex);
  Shared& s = *shared_;
  if (!s.open || s.resume || epoch != s.now.epoch) return;  // of an older pass
  s.now.position = position;
  if (position < size) return;
  s.now = {.epoch = epoch + 1, .seed = s.seed};  // the next pass draws its key when it begins
  s.open = false;
}

DataState Passes::state() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->now;
}

void Passes::set_state(const DataState& to, std::size_t size) const {
  const std::lock_guard lock(shared_->mutex);
  Shared& s = *shared_;
  if (s.seed != 0 && to.seed != s.seed)
    fail<ValueError>(s.who, ": set_state: of data with seed ", to.seed, ", but this one's is ", s.seed);
  if (to.position > size)
    fail<ValueError>(s.who, ": set_state: position ", to.position, " of ", size, " batches");
  s.now = to;
  s.resume = true;
}

}  // namespace knet
