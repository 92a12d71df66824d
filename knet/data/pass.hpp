// Where a loader stands. A loader makes passes over its data; a pass has an order, fixed when it begins, and
// hands out batches. Which pass it is, how many batches of it are out and from which random key its order
// comes are four numbers: stored in a checkpoint, they make a new process go on with the next batch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "knet/device/random.hpp"

namespace knet {

/// A loader's position, to be stored and given back to set_state() of a loader over the same data with the
/// same options.
struct DataState {
  std::uint64_t epoch = 0;             ///< passes before this one
  std::uint64_t position = 0;          ///< batches of this pass that were handed out
  std::uint64_t seed = 0, stream = 0;  ///< random key of this pass's order
  friend bool operator==(const DataState&, const DataState&) = default;
};

/// How one pass begins.
struct PassStart {
  std::uint64_t epoch = 0;
  std::size_t position = 0;  ///< the first batch to hand out
  RandomKey key;             ///< of the order, and of whatever else is random in this pass
};

/// A loader's count of passes; its copies count together. Safe to use from several threads.
///
/// With a seed, pass e has the key {seed, e}. Without one the key of a shuffled pass comes from the
/// process-wide generator when the pass begins.
class Passes {
 public:
  Passes(const char* who, bool shuffle, std::uint64_t seed);
  /// Begins the next pass, or goes on with the one that set_state() named.
  PassStart begin() const;
  /// Batch number `position` (from 1) of pass `epoch`, which has `size`, is out.
  void handed_out(std::uint64_t epoch, std::size_t position, std::size_t size) const;
  DataState state() const;
  /// ValueError for the state of a loader with another seed, or when position is more than `size`.
  void set_state(const DataState&, std::size_t size) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

/// Iterates over a pass: anything with start(), size(), a const operator[](i) and handed_out(i).
template <class P>
class PassIterator {
 public:
  using value_type = std::remove_cvref_t<decltype(std::declval<const P&>()[0])>;
  using difference_type = std::ptrdiff_t;
  PassIterator() = default;
  explicit PassIterator(P pass) : pass_(std::move(pass)), i_(pass_.start().position) {}
  decltype(auto) operator*() const {
    pass_.handed_out(i_ + 1);
    return pass_[i_];
  }
  PassIterator& operator++() {
    ++i_;
    return *this;
  }
  void operator++(int) { ++i_; }
  friend bool operator==(const PassIterator& a, std::default_sentinel_t) { return a.i_ >= a.pass_.size(); }

 private:
  P pass_;
  std::size_t i_ = 0;
};

/// A loader can begin a pass whose batches may be made in any order and on any thread.
template <class L>
concept loader = requires(const L& l, const DataState& s) {
  l.pass().start();
  l.pass().size();
  l.pass()[std::size_t{0}];
  l.state();
  l.set_state(s);
};

}  // namespace knet
