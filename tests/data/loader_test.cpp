// Loaders: which items come together, in which order, on which thread, and where they go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "knet/knet.hpp"

namespace {
using namespace knet;
using Ids = std::vector<std::int64_t>;

// A type of the user's, no container.
struct Squares {
  std::size_t n;
  std::size_t size() const { return n; }
  std::int64_t operator[](std::size_t i) const { return static_cast<std::int64_t>(i * i); }
};
struct Person {
  std::string name;
  std::int64_t age;
};
const std::vector<Person> people = {{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}};

Ids values(const Tensor& t) { return t.to_vector<std::int64_t>(); }
// All of a pass, one batch after the other.
template <class L>
std::vector<Ids> one_pass(L&& loader) {
  std::vector<Ids> r;
  for (auto&& b : loader) r.push_back(values(b));
  return r;
}
Ids joined(const std::vector<Ids>& batches) {
  Ids r;
  for (const auto& b : batches) r.insert(r.end(), b.begin(), b.end());
  return r;
}
Ids sorted(Ids v) {
  std::sort(v.begin(), v.end());
  return v;
}
Ids count_to(std::int64_t n) { return values(arange(n)); }

TEST(Sources, OfAnyKind) {
  EXPECT_EQ(one_pass(minibatch(Squares{5}, 2)), (std::vector<Ids>{{0, 1}, {4, 9}}));
  EXPECT_EQ(one_pass(minibatch(Squares{5}, 2, {.partial = true})), (std::vector<Ids>{{0, 1}, {4, 9}, {16}}));
  std::vector<std::string> names;
  for (const auto& batch : minibatch(people, 2, {.partial = true})) {
    static_assert(std::same_as<decltype(batch), const std::vector<Person>&>);
    for (const auto& p : batch) names.push_back(p.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  const auto ages = minibatch(people, 5, {}, [](std::vector<Person> v) {
    Ids a;
    for (const Person& p : v) a.push_back(p.age);
    return Tensor(a);
  });
  EXPECT_EQ(one_pass(ages), (std::vector<Ids>{{1, 2, 3, 4, 5}}));
  EXPECT_THROW(minibatch(Squares{0}, 1), ValueError);
  EXPECT_THROW(minibatch(Squares{3}, 4), ValueError);
  EXPECT_THROW(minibatch(Squares{3}, 0), ValueError);
}

TEST(Sources, CollateTensorsPairsAndNumbers) {
  std::vector<std::pair<Tensor, int>> items;
  for (int i = 0; i < 4; ++i) items.emplace_back(full({2, 3}, i), 10 + i);
  for (const auto& [x, y] : minibatch(items, 4)) {
    EXPECT_EQ(x.shape(), (Shape{4, 2, 3}));
    EXPECT_EQ(x(3, 1, 2).item(), 3);
    EXPECT_EQ(values(y), (Ids{10, 11, 12, 13}));
    EXPECT_EQ(y.dtype(), i64);
  }
  for (const Tensor& t :
       minibatch(map(Squares{2}, [](std::int64_t v) { return static_cast<double>(v) + 0.5; }), 2)) {
    EXPECT_EQ(t.dtype(), default_dtype());
    EXPECT_EQ(t(1).item(), 1.5);
  }
  // The generic way over rows of tensors gives what the special one gives.
  const Tensor x = rand({7, 3}), y = arange(7);
  auto a = minibatch(x, y, 3, {.shuffle = true, .partial = true, .seed = 5});
  auto b = minibatch(rows(x, y), 3, {.shuffle = true, .partial = true, .seed = 5});
  auto c =
      minibatch(map(rows(x, y), [](Batch r) { return r; }), 3, {.shuffle = true, .partial = true, .seed = 5});
  auto j = b.begin();
  auto k = c.begin();
  for (const auto& [p, q] : a) {
    EXPECT_TRUE(equal(p, (*j).x) && equal(q, (*j).y) && equal(p, (*k).x) && equal(q, (*k).y));
    ++j, ++k;
  }
  EXPECT_TRUE(j == b.end() && k == c.end());
}

TEST(Sources, MapConcatTakeSubsetCache) {
  const auto doubled = map(Squares{5}, [](std::int64_t v) { return 2 * v; });
  EXPECT_EQ(doubled.size(), 5u);
  EXPECT_EQ(doubled[3], 18);
  const Ids more{100, 200};
  const auto all = concat(doubled, more, Squares{2});
  EXPECT_EQ((Ids{all.begin(), all.end()}), (Ids{0, 2, 8, 18, 32, 100, 200, 0, 1}));
  EXPECT_EQ(one_pass(minibatch(take(all, 6), 3)), (std::vector<Ids>{{0, 2, 8}, {18, 32, 100}}));
  EXPECT_EQ(one_pass(minibatch(subset(all, {6, 0, 6}), 3)), (std::vector<Ids>{{200, 0, 200}}));
  EXPECT_THROW(subset(all, {9}), ValueError);
  EXPECT_THROW(subset(all, {-1}), ValueError);
  // References go through to the vector itself.
  const auto both = concat(people, people);
  EXPECT_EQ(&both[6], &people[1]);
  int calls = 0;
  const auto slow = cache(map(Squares{4}, [&](std::int64_t v) { return ++calls, v; }));
  EXPECT_EQ(slow[2] + slow[2] + slow[3], 17);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(slow.filled(), 2u);
  EXPECT_THROW(slow[4], ValueError);
  // Any range: a map of a take of a cycle.
  Ids seen;
  for (std::int64_t v : map(take(cycle(more), 3), [](std::int64_t x) { return x + 1; })) seen.push_back(v);
  EXPECT_EQ(seen, (Ids{101, 201, 101}));
}

TEST(Sources, Split) {
  const auto [trn, dev, tst] = split(Squares{103}, {0.8, 0.1, 0.1}, 7);
  EXPECT_EQ(trn.size(), 82u);
  EXPECT_EQ(dev.size(), 11u);
  EXPECT_EQ(tst.size(), 10u);
  Ids all = trn.ids();
  all.insert(all.end(), dev.ids().begin(), dev.ids().end());
  all.insert(all.end(), tst.ids().begin(), tst.ids().end());
  EXPECT_NE(all, count_to(103));
  EXPECT_EQ(sorted(all), count_to(103));
  EXPECT_EQ(trn[0], trn.ids()[0] * trn.ids()[0]);
  const Squares s{103};
  EXPECT_EQ(split(s, {0.8, 0.1, 0.1}, 7)[1].ids(), dev.ids());
  EXPECT_NE(split(s, {0.8, 0.1, 0.1}, 8)[1].ids(), dev.ids());
  EXPECT_EQ(split(Squares{4}, {0.5, 0.25}, 0)[1].ids(), (Ids{2}));
  EXPECT_THROW(split(s, {0.8, 0.3}, 1), ValueError);
  EXPECT_THROW(split(s, {-0.1, 0.3}, 1), ValueError);
  // Parts of tensors are gathered, not stacked.
  const Tensor x = rand({10, 2}), y = arange(10);
  const auto [a, b] = split(rows(x, y), {0.5, 0.5}, 3);
  for (const auto& [p, q] : minibatch(b, 5)) EXPECT_TRUE(equal(p, x(q)));
}

// x of small elements stays as it is and is converted batch by batch: the batches are those of x converted
// beforehand, bit by bit.
TEST(Minibatches, ConvertBatchByBatch) {
  Tensor bytes = Tensor::make({301, 3}, u8);
  for (std::int64_t i = 0; i < bytes.numel(); ++i)
    bytes.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
  const Tensor y = arange(301);
  for (const DType t : {f32, f64}) {
    const Tensor floats = bytes.to(t) / 255;
    for (const bool shuffle : {false, true}) {
      const auto a = minibatch(bytes, y, 50,
                               {.shuffle = shuffle, .partial = true, .seed = 4, .xtype = t, .divisor = 255});
      const auto b = minibatch(floats, y, 50, {.shuffle = shuffle, .partial = true, .seed = 4});
      auto i = b.begin();
      std::size_t n = 0;
      for (const auto& [p, q] : a) {
        const Batch other = *i;
        EXPECT_EQ(p.dtype(), t);
        EXPECT_TRUE(equal(p, other.x));
        EXPECT_TRUE(equal(q, other.y));
        ++i, ++n;
      }
      EXPECT_EQ(n, 7u);
    }
  }
  for (const auto& [x, none] : minibatch(bytes, 301, {.xtype = f32})) EXPECT_TRUE(equal(x, bytes.to(f32)));
  for (const auto& [x, none] : minibatch(bytes, 301)) EXPECT_TRUE(equal(x, bytes));
  const Tensor x = rand({301, 3});
  const Tensor before = x * 1;
  for (const auto& [p, none] : minibatch(x, 301, {.xtype = f32, .divisor = 2})) EXPECT_TRUE(equal(p, x / 2));
  for (const auto& [p, none] : minibatch(x, 301, {.xtype = f64, .divisor = 2}))
    EXPECT_TRUE(equal(p, x.to(f64) / 2));
  EXPECT_TRUE(equal(x, before));
  for (const MinibatchOptions& o : {MinibatchOptions{.divisor = 255},
                                    {.xtype = i64, .divisor = 255},
                                    {.xtype = f16, .divisor = 2},
                                    {.xtype = f32, .divisor = 0},
                                    {.xtype = f32, .divisor = std::nan("")}})
    EXPECT_THROW(minibatch(bytes, 50, o), ValueError);
}

TEST(Loader, OrdersFromASeed) {
  const auto make = [] { return minibatch(Squares{50}, 10, {.shuffle = true, .seed = 3}); };
  const auto a = make(), b = make();
  const auto first = one_pass(a), second = one_pass(a);
  EXPECT_NE(first, second);
  EXPECT_EQ(sorted(joined(first)), sorted(joined(second)));
  EXPECT_EQ(one_pass(b), first);
  EXPECT_EQ(one_pass(b), second);
  // Without a seed the process-wide generator decides.
  const auto c = minibatch(Squares{50}, 10, {.shuffle = true});
  seed(1);
  const auto third = one_pass(c);
  EXPECT_NE(one_pass(c), third);
  seed(1);
  EXPECT_EQ(one_pass(c), third);
}

// Stops after `stop` batches in all, makes a new loader from the state, and compares the rest.
template <class Make, class Run>
void check_resume(const Make& make, const Run& run) {
  for (std::size_t stop = 1; stop < 14; ++stop) {
    seed(9);
    auto whole = make();
    std::vector<Ids> expected, got;
    run(whole, 15, expected);
    seed(9);
    DataState state;
    RandomKey key;
    {
      auto first = make();
      run(first, stop, got);
      state = first.state();
      key = random_state();
    }
    seed(12345);  // another process
    set_random_state(key);
    auto second = make();
    second.set_state(state);
    EXPECT_EQ(second.state(), state);
    run(second, 15 - stop, got);
    EXPECT_EQ(got, expected) << "stopped after " << stop;
    EXPECT_EQ(second.state().epoch, 3u);
    EXPECT_EQ(second.state().position, 0u);
  }
}
const auto run_plain = [](auto& loader, std::size_t n, std::vector<Ids>& out) {
  for (auto&& b : take(cycle(loader), n)) out.push_back(values(b));
};

TEST(Loader, GoesOnFromAState) {
  for (const std::uint64_t s : {0, 4}) {
    for (const bool shuffle : {false, true}) {
      const LoaderOptions o{.shuffle = shuffle, .seed = s};
      check_resume([&] { return minibatch(Squares{53}, 10, o); }, run_plain);
      check_resume([&] { return prefetch(minibatch(Squares{53}, 10, o), {.workers = 2}); }, run_plain);
      check_resume(
          [&] {
            return prefetch(map(minibatch(rows(arange(53)), 10, o),
                                [](Batch b, Generator& g) { return b.x + randint(0, 1000, {1}, g); }));
          },
          run_plain);
      check_resume(
          [&] {
            return map(minibatch(arange(53), 10, {.shuffle = shuffle, .seed = s}),
                       [](Batch b) { return b.x; });
          },
          run_plain);
    }
  }
}

TEST(Loader, StateOfPassesLeftEarlyAndWrongStates) {
  const auto a = minibatch(Squares{50}, 10, {.shuffle = true, .seed = 3});
  auto i = a.begin();
  *i, ++i, *i;
  EXPECT_EQ(a.state().position, 2u);
  auto j = a.begin();  // another order: the pass before is over
  *j;
  EXPECT_EQ(a.state().epoch, 1u);
  EXPECT_EQ(a.state().position, 1u);
  *i;  // of the old pass: does not count
  EXPECT_EQ(a.state().position, 1u);
  EXPECT_THROW(a.set_state({.position = 6, .seed = 3}), ValueError);
  EXPECT_THROW(a.set_state({.position = 1, .seed = 4}), ValueError);
}

TEST(Prefetch, SameBatchesInTheSameOrder) {
  for (const int workers : {1, 2, 4}) {
    for (const std::size_t depth : {0, 1, 3}) {
      const auto plain = minibatch(Squares{500}, 7, {.shuffle = true, .partial = true, .seed = 2});
      const auto same = minibatch(Squares{500}, 7, {.shuffle = true, .partial = true, .seed = 2});
      auto ahead = prefetch(map(same,
                                [](const Tensor& t) {
                                  if (t(0).item<int>() % 3 == 0)
                                    std::this_thread::sleep_for(std::chrono::microseconds(300));
                                  return t;
                                }),
                            {.workers = workers, .depth = depth});
      EXPECT_EQ(ahead.size(), 72);
      for (int pass = 0; pass < 2; ++pass) EXPECT_EQ(one_pass(ahead), one_pass(plain));
    }
  }
}

TEST(Prefetch, RandomMapsDoNotDependOnThreads) {
  const auto noise = [](const Tensor& t, Generator& g) { return t + randint(0, 1 << 30, {t.size(0)}, g); };
  std::vector<Ids> results[3];
  for (int w = 0; w < 3; ++w) {
    const auto d = map(minibatch(Squares{100}, 5, {.shuffle = true, .seed = 2}), noise);
    if (w == 0) {
      for (int pass = 0; pass < 2; ++pass) results[w].push_back(joined(one_pass(d)));
    } else {
      auto p = prefetch(d, {.workers = w});
      for (int pass = 0; pass < 2; ++pass) results[w].push_back(joined(one_pass(p)));
    }
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_NE(results[0][0], results[0][1]);
}

TEST(Prefetch, AnyRange) {
  const Ids v{1, 2, 3};
  Ids got;
  for (std::int64_t x : prefetch(take(cycle(v), 8))) got.push_back(x);
  EXPECT_EQ(got, (Ids{1, 2, 3, 1, 2, 3, 1, 2}));
  got.clear();
  for (std::int64_t x : take(repeat(prefetch(v), 3), 7)) got.push_back(x);
  EXPECT_EQ(got, (Ids{1, 2, 3, 1, 2, 3, 1}));
  for ([[maybe_unused]] std::int64_t x : prefetch(Ids{})) FAIL();
  EXPECT_THROW(prefetch(v, {.workers = 2}), ValueError);
  EXPECT_THROW(prefetch(v, {.workers = 0}), ValueError);
}

TEST(Prefetch, ErrorsComeAtTheirTurn) {
  for (const int workers : {1, 3}) {
    const auto bad = map(Squares{40}, [](std::int64_t v) {
      if (v == 25 * 25) throw std::runtime_error("broken file");
      if (v > 30 * 30) throw std::logic_error("later");
      return v;
    });
    auto data = prefetch(minibatch(bad, 4), {.workers = workers, .depth = 10});
    for (int pass = 0; pass < 2; ++pass) {  // and again in the next pass
      std::size_t n = 0;
      try {
        for ([[maybe_unused]] const auto& b : data) ++n;
        FAIL();
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "broken file");
      }
      EXPECT_EQ(n, 6u);
    }
  }
}

TEST(Prefetch, StopsEarly) {
  std::atomic<int> made = 0;
  for (int i = 0; i < 20; ++i) {
    auto data = prefetch(map(minibatch(Squares{1000}, 1), [&](const Tensor& t) { return ++made, t; }),
                         {.workers = 3, .depth = 4});
    auto it = data.begin();
    if (i % 2) ++it;
  }
  EXPECT_LE(made, 20 * 9);
  // An exception in the loop's body ends the threads too.
  const auto thrower = [] {
    for ([[maybe_unused]] const auto& t : prefetch(minibatch(Squares{1000}, 1), {.workers = 2})) throw 1;
  };
  EXPECT_THROW(thrower(), int);
}

TEST(Prefetch, TrainsToTheSameBits) {
  const Tensor x = rand({200, 5}), y = randint(0, 3, {200});
  const auto weights = [&](auto&& wrap) {
    seed(11);
    MLP m{{5, 8, 3}};
    const auto data = minibatch(x, y, 20, {.shuffle = true});
    train(sgd(m, nll, repeat(wrap(data), 3)));
    return params(m)[0].value();
  };
  const Tensor a = weights([](auto& d) -> auto& { return d; });
  const Tensor b = weights([](auto& d) { return prefetch(d, {.workers = 2}); });
  EXPECT_TRUE(equal(a, b));
}

TEST(Prefetch, SharedCache) {
  std::atomic<int> calls = 0;
  const auto kept = cache(map(Squares{64}, [&](std::int64_t v) { return ++calls, v; }));
  auto data = prefetch(minibatch(kept, 4), {.workers = 4});
  const auto first = one_pass(data);
  EXPECT_EQ(one_pass(data), first);
  EXPECT_EQ(kept.filled(), 64u);
  EXPECT_EQ(calls, 64);
}

// Sequences i, i + 1, ... of length 1 + i % 7 with labels ten times as large.
std::vector<std::pair<Ids, Ids>> sequences(std::int64_t n) {
  std::vector<std::pair<Ids, Ids>> r;
  for (std::int64_t i = 0; i < n; ++i) {
    Ids x, y;
    for (std::int64_t t = 0; t <= i % 7; ++t) x.push_back(i + t), y.push_back(10 * (i + t));
    r.emplace_back(x, y);
  }
  return r;
}

TEST(BatchByLength, PoolsSortedAndBuckets) {
  const auto data = sequences(100);
  const auto padding = [&](LengthOptions o) {
    std::int64_t gaps = 0, real = 0, rows = 0;
    for (const auto& [x, y, lengths] : batch_by_length(data, 8, PadSequences{.value = -7}, o)) {
      EXPECT_TRUE(std::is_sorted(lengths.rbegin(), lengths.rend()));
      EXPECT_EQ(x.size(1), lengths[0]);
      rows += x.size(0);
      for (const auto n : lengths) real += n, gaps += lengths[0] - n;
    }
    EXPECT_EQ(rows, 100);
    EXPECT_EQ(real, 395);
    return gaps;
  };
  EXPECT_EQ(padding({.pool = 0}), 17);
  EXPECT_EQ(padding({.shuffle = true, .seed = 1, .pool = 1000}), 17);
  const auto some = padding({.shuffle = true, .seed = 1, .pool = 4}),
             none = padding({.shuffle = true, .seed = 1, .pool = 1});
  EXPECT_LT(some, none / 2);
  EXPECT_GT(some, 17);
  for (const auto& b :
       batch_by_length(data, 8, PadSequences{}, {.shuffle = true, .seed = 1, .buckets = {2, 5}})) {
    const auto bucket = [](std::int64_t n) { return n <= 2 ? 0 : n <= 5 ? 1 : 2; };
    EXPECT_EQ(bucket(b.lengths.front()), bucket(b.lengths.back()));
  }
  EXPECT_THROW(batch_by_length(data, 8, PadSequences{}, {.pool = -1}), ValueError);
  EXPECT_THROW(batch_by_length(data, 8, PadSequences{}, {.buckets = {5, 2}}), ValueError);
}

TEST(BatchByLength, EveryItemOnceInNewOrders) {
  for (const LengthOptions& o :
       {LengthOptions{.shuffle = true, .seed = 6, .pool = 3},
        LengthOptions{.shuffle = true, .seed = 6, .buckets = {3, 4}},
        LengthOptions{.shuffle = true, .partial = false, .seed = 6, .buckets = {3}}}) {
    const auto loader = batch_by_length(
        Squares{90}, 8, [](std::int64_t v) { return v % 10; }, o, Collate{});
    const auto a = one_pass(loader), b = one_pass(loader);
    EXPECT_EQ(a.size(), loader.size());
    EXPECT_NE(a, b);
    if (o.partial) {
      EXPECT_EQ(sorted(joined(a)), joined(one_pass(minibatch(Squares{90}, 90))));
    } else {
      for (const auto& batch : a) EXPECT_EQ(batch.size(), 8u);
    }
    const auto again = batch_by_length(
        Squares{90}, 8, [](std::int64_t v) { return v % 10; }, o, Collate{});
    EXPECT_EQ(one_pass(again), a);
  }
}

TEST(BatchByLength, PaddedAndPackedLabels) {
  const std::vector<std::pair<Ids, Ids>> data = {{{5}, {50}}, {{1, 2, 3}, {10, 20, 30}}};
  for (const auto& [x, y, lengths] : batch_by_length(data, 2, PadSequences{})) {
    EXPECT_EQ(values(x), (Ids{1, 2, 3, 5, 0, 0}));
    EXPECT_EQ(values(y), (Ids{10, 20, 30, 50, ignore, ignore}));
    EXPECT_EQ(lengths, (Ids{3, 1}));
  }
  for (const auto& [x, y] : batch_by_length(data, 2, PackSequences{})) {
    EXPECT_EQ(values(x.data), (Ids{1, 5, 2, 3}));
    EXPECT_EQ(values(y), (Ids{10, 50, 20, 30}));
    EXPECT_EQ(x.batch_sizes, (Ids{2, 1, 1}));
  }
  struct Labelled {
    Ids words;
    int kind;
  };
  for (const auto& b : batch_by_length(std::vector<Labelled>{{{5}, 0}, {{1, 2}, 1}}, 2, PackSequences{}))
    EXPECT_EQ(values(b.y), (Ids{1, 0}));
  for (const auto& b :
       batch_by_length(std::vector<Ids>{{5}, {1, 2}}, 2, PadSequences{.side = PadSide::left})) {
    EXPECT_EQ(values(b.x), (Ids{1, 2, 0, 5}));
    EXPECT_FALSE(b.y);
  }
  const std::vector<std::pair<Tensor, std::int64_t>> features = {{ones({1, 4}), 3}, {ones({2, 4}), 4}};
  for (const auto& b : batch_by_length(features, 2, PadSequences{})) {
    EXPECT_EQ(b.x.shape(), (Shape{2, 2, 4}));
    EXPECT_EQ(b.x.sum().item(), 12);
    EXPECT_EQ(values(b.y), (Ids{4, 3}));
  }
  const std::vector<std::pair<Ids, Ids>> wrong = {{{5}, {50, 51}}};
  EXPECT_THROW(*batch_by_length(wrong, 1, PackSequences{}).begin(), ShapeError);
}

TEST(BatchByLength, TrainsATagger) {
  struct Tagger {
    LSTM lstm{.input = 120, .hidden = 16, .embed = 8};
    Linear out{.input = 16, .output = 3};
    Tensor operator()(const PackedSequence& x) const { return out(lstm(x).y); }
  } model;
  auto data = sequences(60);
  for (auto& [x, y] : data)
    for (std::size_t t = 0; t < y.size(); ++t) y[t] = x[t] % 3;
  auto batches = batch_by_length(data, 10, PackSequences{}, {.shuffle = true, .seed = 1});
  const TrainLog log = train(adam(model, nll, repeat(prefetch(batches), 30), {.lr = 0.02}));
  EXPECT_GT(log.first, 1.0);
  EXPECT_LT(log.last, 0.1);
}

}  // namespace
