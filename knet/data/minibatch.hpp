// Minibatches of tensors. Data is any range of batches; a batch is a Batch, a pair or tuple, a struct of the
// user's, or one Tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "knet/data/pass.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// auto [x, y] = batch;
struct Batch {
  Tensor x, y;
};
struct MinibatchOptions {
  bool shuffle = false;    ///< a new order at the start of every pass
  bool partial = false;    ///< also the last batch when it is smaller
  std::uint64_t seed = 0;  ///< of the order; 0: from the process-wide generator
  /// Converts x when it is a floating type; the default keeps it. An x of smaller elements (bytes of images)
  /// stays as it is in memory and is converted batch by batch: gathering reads less.
  DType xtype = DType::u8;
  /// x / divisor after the conversion; wants .xtype f32 or f64. 255: bytes as numbers from 0 to 1, the same
  /// bits as those of datasets::mnist().
  double divisor = 1;
};

/// Positions of the first dimension of x and y in groups of `size`. y may be empty: batches then hold x only.
/// Copies count their passes together.
class Minibatches {
 public:
  using value_type = Batch;
  Minibatches(Tensor x, Tensor y, std::int64_t size, MinibatchOptions o = {});
  /// Batches of one pass.
  std::size_t size() const;
  /// One pass in its order.
  class Pass {
   public:
    Pass() = default;
    Pass(const Minibatches* d, Tensor order, PassStart s) : d_(d), order_(std::move(order)), start_(s) {}
    std::size_t size() const { return d_->size(); }
    Batch operator[](std::size_t i) const { return d_->batch(i, order_); }
    const PassStart& start() const { return start_; }
    void handed_out(std::size_t position) const { d_->passes_.handed_out(start_.epoch, position, size()); }

   private:
    const Minibatches* d_ = nullptr;
    Tensor order_;  // empty: as they come
    PassStart start_;
  };
  using iterator = PassIterator<Pass>;
  /// Begins a pass; draws its order.
  Pass pass() const;
  iterator begin() const { return iterator(pass()); }
  std::default_sentinel_t end() const { return {}; }
  /// The i-th batch in the given order (a permutation, i64), or as they come.
  Batch batch(std::size_t i, const Tensor& order = {}) const;
  /// The position in the running pass, for checkpoints.
  DataState state() const { return passes_.state(); }
  /// The next pass to begin is the rest of the one that `s` comes from.
  void set_state(const DataState& s) const { passes_.set_state(s, size()); }

 private:
  /// x as .xtype, divided.
  Tensor converted(const Tensor& x) const;

  Tensor x_, y_;
  std::int64_t size_;
  bool converts_ = false;  // every batch
  MinibatchOptions o_;
  Passes passes_;
};

/// minibatch(x, y, 100, {.shuffle = true}). ShapeError when x and y differ in length; ValueError for a size
/// below 1, empty data, a size beyond the data without .partial, or a divisor that is 0, not finite, or
/// without an .xtype of f32 or f64.
inline Minibatches minibatch(Tensor x, Tensor y, std::int64_t size, MinibatchOptions o = {}) {
  return {std::move(x), std::move(y), size, o};
}
inline Minibatches minibatch(Tensor x, std::int64_t size, MinibatchOptions o = {}) {
  return {std::move(x), Tensor(), size, o};
}

}  // namespace knet
