// Minibatches of tensors. Data is any range of batches; a batch is a Batch, a pair or tuple, a struct of the
// user's, or one Tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "knet/device/random.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// auto [x, y] = batch;
struct Batch {
  Tensor x, y;
};
struct MinibatchOptions {
  bool shuffle = false;     ///< a new order at the start of every pass
  bool partial = false;     ///< also the last batch when it is smaller
  std::uint64_t seed = 0;   ///< of the order; 0: from the process-wide generator
  DType xtype = DType::u8;  ///< converts x when it is a floating type; the default keeps it
};

/// Positions of the first dimension of x and y in groups of `size`. y may be empty: batches then hold x only.
class Minibatches {
 public:
  using value_type = Batch;
  Minibatches(Tensor x, Tensor y, std::int64_t size, MinibatchOptions o = {});
  /// Batches of one pass.
  std::size_t size() const;
  class iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    iterator(const Minibatches* d, Tensor order, std::size_t i) : d_(d), order_(std::move(order)), i_(i) {}
    Batch operator*() const { return d_->batch(i_, order_); }
    iterator& operator++() {
      ++i_;
      return *this;
    }
    void operator++(int) { ++i_; }
    friend bool operator==(const iterator& a, const iterator& b) { return a.i_ == b.i_; }

   private:
    const Minibatches* d_ = nullptr;
    Tensor order_;  // empty: as they come
    std::size_t i_ = 0;
  };
  /// Starts a pass; draws its order.
  iterator begin() const;
  iterator end() const { return {this, Tensor(), size()}; }
  /// The i-th batch in the given order (a permutation, i64), or as they come.
  Batch batch(std::size_t i, const Tensor& order = {}) const;

 private:
  Tensor x_, y_;
  std::int64_t size_;
  MinibatchOptions o_;
  std::shared_ptr<Generator> generator_;  // of a given seed
};

/// minibatch(x, y, 100, {.shuffle = true}). ShapeError when x and y differ in length; ValueError for a size
/// below 1, empty data, or a size beyond the data without .partial.
inline Minibatches minibatch(Tensor x, Tensor y, std::int64_t size, MinibatchOptions o = {}) {
  return {std::move(x), std::move(y), size, o};
}
inline Minibatches minibatch(Tensor x, std::int64_t size, MinibatchOptions o = {}) {
  return {std::move(x), Tensor(), size, o};
}

}  // namespace knet
