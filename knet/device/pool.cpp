// The pool of cpu memory: a small cache per thread in front of one locked list per size class.
//
// All global state is constant-initialised and never destroyed, so blocks may come back at any time: from
// static destructors and from threads whose thread_local objects are already gone. Free blocks in the shared
// lists are linked through their own first bytes.
//
// A large request takes the smallest free block of up to twice its size: the blocks of a training step come
// in many sizes, and by far not all are in use at once. So a large block knows its class, in front of its
// first byte.
#include "knet/device/pool.hpp"

#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/device/pages.hpp"

namespace knet {
namespace {

constexpr std::size_t alignment = 64;
constexpr int local_classes = 52;        // classes up to 1 MiB are kept per thread
constexpr int local_blocks = 8;          // blocks of each class that a thread keeps
constexpr int batch = local_blocks / 2;  // blocks moved between a thread and the shared list under one lock
constexpr std::size_t largest = std::size_t{1} << 62;

// Up to 1 MiB classes hold 1, 2, 3, 4 | 5, 6, 7, 8 | 10, 12, 14, 16 | 20, 24, ... units, above it 17, 18, ...
// 32 | 34, 36, ... times 1,024 units of 64 bytes: a sixteenth of a large block matters more than a few more
// lists.
constexpr int large_steps = 16;
constexpr int first_large =
    10 * large_steps + large_steps;  // number of 17 * 1,024 units, counted like the small ones
constexpr int class_count = local_classes + 47 * large_steps;
constexpr int fitting =
    large_steps;  // classes above that of a large request in which a free block is looked for

constexpr int class_of(std::size_t bytes) {
  const std::size_t v = bytes > alignment ? (bytes - 1) / alignment : 0;
  if (v < 4) return static_cast<int>(v);
  if (bytes <= std::size_t{1} << 20) {
    const int shift = static_cast<int>(std::bit_width(v)) - 3;
    return 4 * shift + static_cast<int>(v >> shift);
  }
  const int shift = static_cast<int>(std::bit_width(v)) - 5;
  return local_classes - first_large + large_steps * shift + static_cast<int>(v >> shift);
}
constexpr std::size_t class_bytes(int c) {
  if (c < 4) return static_cast<std::size_t>(c + 1) * alignment;
  if (c < local_classes) return (static_cast<std::size_t>(c % 4 + 5) << (c / 4 - 1)) * alignment;
  const int i = c - local_classes + first_large;
  return (static_cast<std::size_t>(i % large_steps + large_steps + 1) << (i / large_steps - 1)) * alignment;
}
static_assert(class_bytes(local_classes - 1) == 1 << 20);
static_assert(class_of((1 << 20) + 1) == local_classes && class_of(largest) < class_count);
static_assert(class_bytes(class_of(123456789)) >= 123456789);
static_assert(class_bytes(class_of(123456789) - 1) < 123456789);

struct FreeBlock {
  FreeBlock* next;
};
struct HoardedBlock {
  HoardedBlock* next;
  int size_class;
};

// A lock for each class: threads that work on different sizes do not meet.
struct SharedList {
  std::mutex mutex;
  FreeBlock* head = nullptr;
};

struct ThreadCache {
  // Blocks a thread may keep: 0 before it is enrolled and after it has left, so that the fast paths need no
  // other check.
  int capacity = 0;
  bool left = false;
  std::atomic<std::uint64_t> requests{0};  // written by its own thread only
  ThreadCache *next = nullptr, *previous = nullptr;
  int count[local_classes]{};
  void* block[local_classes][local_blocks]{};
};

constinit SharedList shared[class_count + fitting];
constinit std::atomic<std::size_t> in_use{0}, peak{0},
    held{0};  // held: bytes got from the system, not returned
constinit std::atomic<std::uint64_t> system_requests{0},
    other_requests{0};  // other: of threads that have left
constinit std::mutex roll_mutex;
constinit ThreadCache* roll = nullptr;  // caches of all living threads
constinit thread_local ThreadCache local;
constinit thread_local memory::Reserve* reserve = nullptr;  // of the plan that this thread runs
constinit thread_local bool hoarding = false;
constinit thread_local HoardedBlock* hoard = nullptr;

// What stands in front of a large block; it keeps the alignment.
constexpr std::size_t header = alignment;
bool is_large(int c) { return c >= local_classes; }
int& class_of_large(void* p) { return *reinterpret_cast<int*>(static_cast<char*>(p) - header); }

void free_to_system(void* p, int c) {
  if (is_large(c))
    memory::unmap_pages(static_cast<char*>(p) - header, header + class_bytes(c));
  else
    std::free(p);
  held.fetch_sub(class_bytes(c), std::memory_order_relaxed);
}

// Puts blocks into the shared list of their class.
void share(int c, void* const* blocks, int n) {
  SharedList& list = shared[c];
  std::lock_guard lock(list.mutex);
  for (int i = 0; i < n; ++i) {
    auto* b = static_cast<FreeBlock*>(blocks[i]);
    b->next = list.head;
    list.head = b;
  }
}
// Takes up to n blocks from the list of a class.
int take(int c, void** blocks, int n) {
  SharedList& list = shared[c];
  std::lock_guard lock(list.mutex);
  int got = 0;
  for (; got < n && list.head; ++got) {
    blocks[got] = list.head;
    list.head = list.head->next;
  }
  return got;
}

// Empties this thread's cache; `put` gets (class, blocks, n).
template <class F>
void empty_cache(F put) {
  for (int c = 0; c < local_classes; ++c) {
    if (local.count[c]) put(c, local.block[c], local.count[c]);
    local.count[c] = 0;
  }
}

void release_all() {
  empty_cache([](int c, void** blocks, int n) {
    for (int i = 0; i < n; ++i) free_to_system(blocks[i], c);
  });
  for (int c = 0; c < class_count; ++c) {
    FreeBlock* b;
    {
      std::lock_guard lock(shared[c].mutex);
      b = std::exchange(shared[c].head, nullptr);
    }
    while (b) free_to_system(std::exchange(b, b->next), c);
  }
}

void leave() {
  empty_cache(share);
  std::lock_guard lock(roll_mutex);
  other_requests.fetch_add(local.requests.load(std::memory_order_relaxed), std::memory_order_relaxed);
  (local.previous ? local.previous->next : roll) = local.next;
  if (local.next) local.next->previous = local.previous;
  local.capacity = 0;
  local.left = true;
}

struct AtThreadExit {
  ~AtThreadExit() { leave(); }
};

// The first use of the pool on a thread. Does nothing while the thread is being torn down.
void enroll() {
  if (local.capacity || local.left || hoarding) return;
  [[maybe_unused]] static thread_local AtThreadExit at_exit;
  std::lock_guard lock(roll_mutex);
  local.capacity = local_blocks;
  local.next = roll;
  if (roll) roll->previous = &local;
  roll = &local;
}

void count_request() {
  // A plain load and store: nobody else writes it, and a locked addition would cost more than the rest.
  const auto n = local.requests.load(std::memory_order_relaxed);
  local.requests.store(n + 1, std::memory_order_relaxed);
}

void count_use(std::size_t bytes) {
  const std::size_t now = in_use.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::size_t p = peak.load(std::memory_order_relaxed);
  while (now > p && !peak.compare_exchange_weak(p, now, std::memory_order_relaxed)) {
  }
}

void* from_system(int c, std::size_t asked) {
  const std::size_t bytes = class_bytes(c);
  const auto get = [&] {
    return is_large(c) ? memory::map_pages(header + bytes) : std::aligned_alloc(alignment, bytes);
  };
  void* p = get();
  if (!p) {  // what lies unused in other sizes may be enough
    release_all();
    p = get();
  }
  if (!p) {
    fail<Error>("out of memory: ", asked, " bytes asked for, ", in_use.load(), " in use, ",
                held.load() - in_use.load(), " cached by other threads");
  }
  held.fetch_add(bytes, std::memory_order_relaxed);
  system_requests.fetch_add(1, std::memory_order_relaxed);
  if (!is_large(c)) return p;
  p = static_cast<char*>(p) + header;
  class_of_large(p) = c;
  return p;
}

[[gnu::noinline]] void* allocate_slowly(int c, std::size_t asked) {
  enroll();
  void* p = nullptr;
  if (is_large(c)) {
    if (reserve) p = reserve->take(c);
    for (int fit = c; !p && fit <= c + fitting; ++fit) take(fit, &p, 1);
  } else if (local.capacity) {
    local.count[c] = take(c, local.block[c], batch);
    if (local.count[c]) p = local.block[c][--local.count[c]];
  } else {
    take(c, &p, 1);
  }
  if (!p) p = from_system(c, asked);
  if (is_large(c)) c = class_of_large(p);
  if (local.left)
    other_requests.fetch_add(1, std::memory_order_relaxed);
  else
    count_request();
  count_use(class_bytes(c));
  return p;
}

[[gnu::noinline]] void deallocate_slowly(int c, void* p) {
  enroll();
  if (hoarding) {
    auto* b = static_cast<HoardedBlock*>(p);
    *b = {hoard, c};
    hoard = b;
    return;
  }
  if (reserve && is_large(c) && reserve->keep(c, p)) return;
  if (is_large(c) || !local.capacity) return share(c, &p, 1);
  int& n = local.count[c];
  if (n == local_blocks) {  // the oldest go: the newest are still in the processor's caches
    share(c, local.block[c], batch);
    for (int i = batch; i < n; ++i) local.block[c][i - batch] = local.block[c][i];
    n -= batch;
  }
  local.block[c][n++] = p;
}

}  // namespace

namespace memory {

void* allocate(std::size_t bytes) {
  if (bytes > largest) fail<Error>("out of memory: ", bytes, " bytes asked for");
  const int c = class_of(bytes);
  if (c < local_classes && local.count[c] > 0) [[likely]] {
    count_request();
    count_use(class_bytes(c));
    return local.block[c][--local.count[c]];
  }
  return allocate_slowly(c, bytes);
}

void deallocate(void* p, std::size_t bytes) noexcept {
  if (!p) return;
  int c = class_of(bytes);
  if (is_large(c)) c = class_of_large(p);
  in_use.fetch_sub(class_bytes(c), std::memory_order_relaxed);
  if (c < local_classes && local.count[c] < local.capacity) [[likely]] {
    local.block[c][local.count[c]++] = p;
    return;
  }
  deallocate_slowly(c, p);
}

// Without a cache every block of this thread takes the slow ways, which know about hoards.
Hoard::Hoard() : capacity_(local.capacity) {
  empty_cache(share);
  local.capacity = 0;
  hoarding = true;
}
Hoard::~Hoard() {
  hoarding = false;
  local.capacity = capacity_;
  while (hoard) {
    const int c = hoard->size_class;
    void* p = std::exchange(hoard, hoard->next);
    share(c, &p, 1);
  }
}

Reserve::~Reserve() {
  for (int i = 0; i < count_; ++i) share(kept_[i].size_class, &kept_[i].block, 1);
}
Reserve::Use::Use(Reserve& r) : outer_(std::exchange(reserve, &r)) {}
Reserve::Use::~Use() { reserve = outer_; }
void* Reserve::take(int size_class) {
  for (int i = count_; i-- > 0;) {
    if (kept_[i].size_class < size_class || kept_[i].size_class > size_class + fitting) continue;
    void* p = kept_[i].block;
    kept_[i] = kept_[--count_];
    return p;
  }
  return nullptr;
}
bool Reserve::keep(int size_class, void* block) {
  if (count_ == most) return false;
  kept_[count_++] = {size_class, block};
  return true;
}

}  // namespace memory

MemoryStats memory_stats(Device d) {
  require("memory_stats", d);
  MemoryStats s;
  s.in_use = in_use.load(std::memory_order_relaxed);
  s.peak = peak.load(std::memory_order_relaxed);
  // Other threads may work between the two loads; never report a wrapped difference.
  const std::size_t all = held.load(std::memory_order_relaxed);
  s.cached = all > s.in_use ? all - s.in_use : 0;
  s.system = system_requests.load(std::memory_order_relaxed);
  std::lock_guard lock(roll_mutex);
  s.requests = other_requests.load(std::memory_order_relaxed);
  for (const ThreadCache* t = roll; t; t = t->next) s.requests += t->requests.load(std::memory_order_relaxed);
  return s;
}

void release_memory(Device d) {
  require("release_memory", d);
  release_all();
}

}  // namespace knet
