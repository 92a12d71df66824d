#include "knet/data/prefetch.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "knet/base/one_thread.hpp"
#include "knet/base/text.hpp"

namespace knet::detail {

void check_prefetch(const PrefetchOptions& o, bool is_loader) {
  if (o.workers < 1) fail<ValueError>("prefetch: ", o.workers, " workers (expected at least 1)");
  if (o.workers > 1 && !is_loader)
    fail<ValueError>("prefetch: ", o.workers, " workers on a range that is not a loader (expected 1)");
}

struct PrefetchQueue::Impl {
  Make make;
  std::mutex mutex;
  // Waking a thread costs more than handing over a batch: a worker that found no room sleeps until half of
  // the slots are free, if there are enough of them.
  std::condition_variable room, ready;
  std::vector<std::shared_ptr<void>> slots;  // item i in slot i % depth; null while it is not there
  std::size_t claimed, taken;                // the next item to make, the next to hand out
  std::size_t end = std::numeric_limits<std::size_t>::max();  // no item from here on
  std::exception_ptr error;                                   // of item `end`
  bool stop = false;
  int sleeping = 0;  // threads that wait for room
  double waited = 0;
  std::vector<std::thread> threads;

  void work() {
    const OneThread alone;
    std::unique_lock lock(mutex);
    for (;;) {
      ++sleeping;
      room.wait(lock, [&] { return stop || claimed >= end || claimed - taken < slots.size(); });
      --sleeping;
      if (stop || claimed >= end) return;
      const std::size_t i = claimed++;
      lock.unlock();
      std::shared_ptr<void> item;
      std::exception_ptr failure;
      try {
        item = make(i);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (item) {
        slots[i % slots.size()] = std::move(item);
      } else if (i < end) {
        end = i;
        error = std::move(failure);
        room.notify_all();
      }
      ready.notify_one();
    }
  }
  void finish() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    room.notify_all();
    for (auto& t : threads) t.join();
    threads.clear();
  }
};

PrefetchQueue::PrefetchQueue(std::size_t first, PrefetchOptions o, Make make)
    : impl_(std::make_unique<Impl>()) {
  const auto workers = static_cast<std::size_t>(o.workers);
  impl_->make = std::move(make);
  impl_->slots.resize(o.depth > 0 ? o.depth : 8 * workers);
  impl_->claimed = impl_->taken = first;
  try {
    for (std::size_t i = 0; i < workers; ++i) impl_->threads.emplace_back([p = impl_.get()] { p->work(); });
  } catch (const std::system_error& e) {
    if (impl_->threads.empty()) fail<Error>("prefetch: no thread: ", e.what());
    // Fewer threads do the same work.
  }
}

PrefetchQueue::~PrefetchQueue() { impl_->finish(); }

std::shared_ptr<void> PrefetchQueue::next() {
  Impl& q = *impl_;
  std::unique_lock lock(q.mutex);
  std::shared_ptr<void>& slot = q.slots[q.taken % q.slots.size()];
  if (!slot && q.taken < q.end) {
    const auto start = std::chrono::steady_clock::now();
    q.ready.wait(lock, [&] { return slot || q.taken >= q.end; });
    q.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (q.taken >= q.end) {
    if (q.error) std::rethrow_exception(std::exchange(q.error, nullptr));
    return {};
  }
  std::shared_ptr<void> item = std::move(slot);
  slot = nullptr;
  ++q.taken;
  const bool few = q.slots.size() < 4 * q.threads.size();
  const bool wake = q.sleeping > 0 && (few || 2 * (q.claimed - q.taken) <= q.slots.size());
  lock.unlock();
  if (wake) q.room.notify_all();
  return item;
}

double PrefetchQueue::waited() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->waited;
}

}  // namespace knet::detail
