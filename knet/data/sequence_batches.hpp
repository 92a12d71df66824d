// Batches of sequences of unequal lengths, padded or packed. An item is a sequence of ids
// (std::vector<std::int64_t>) or of features (Tensor [length, features...]) alone, or a pair or struct of two
// fields: the sequence, and a label of the whole (an integer) or one for every step (ids).
//
//   auto data = batch_by_length(sentences, 32, PackSequences{}, {.shuffle = true});
//   train(adam(tagger, nll, repeat(data, 10)));   // Tensor operator()(const PackedSequence&) const
#pragma once
#include <concepts>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/base/reflect.hpp"
#include "knet/data/loader.hpp"
#include "knet/layers/sequence.hpp"

namespace knet {

/// auto [x, y, lengths] = batch;
struct PaddedBatch {
  Tensor x;                           ///< [batch, longest] ids or [batch, longest, features...]
  Tensor y;                           ///< [batch], or [batch, longest] filled up with `ignore`, or empty
  std::vector<std::int64_t> lengths;  ///< of every sequence
};
/// auto [x, y] = batch;
struct PackedBatch {
  PackedSequence x;
  Tensor y;  ///< [rows] beside the rows of x, or [batch], or empty
};

namespace detail {
struct SequenceColumns {
  Sequences ids;
  std::vector<Tensor> features;  // instead of ids
  std::vector<std::int64_t> labels;
  Sequences steps;  // instead of labels
};
PaddedBatch pad_columns(const SequenceColumns&, std::int64_t value, PadSide);
PackedBatch pack_columns(SequenceColumns);

template <class T, class F>
decltype(auto) with_parts(T& item, F&& f) {
  using U = std::remove_cv_t<T>;
  if constexpr (std::same_as<U, Tensor> || std::same_as<U, std::vector<std::int64_t>>)
    return f(item);
  else if constexpr (is_tuple<U>)
    return std::apply(f, item);
  else
    return reflect::with_fields(item, f);
}
template <class T>
SequenceColumns sequence_columns(std::vector<T>& items) {
  SequenceColumns c;
  const auto sequence = [&](auto& x) {
    if constexpr (std::convertible_to<decltype(x), const Tensor&>)
      c.features.push_back(x);
    else
      c.ids.items.push_back(std::move(x));
  };
  const auto label = [&](auto& y) {
    if constexpr (std::integral<std::remove_cvref_t<decltype(y)>>)
      c.labels.push_back(static_cast<std::int64_t>(y));
    else
      c.steps.items.push_back(std::move(y));
  };
  for (T& item : items) {
    with_parts(item, [&](auto& x, auto&... y) {
      static_assert(sizeof...(y) <= 1, "knet: an item is a sequence and at most one label");
      sequence(x);
      (label(y), ...);
    });
  }
  return c;
}
struct SequenceLength {
  template <class T>
  std::int64_t operator()(const T& item) const {
    return with_parts(item, [](const auto& x, const auto&...) {
      if constexpr (requires { x.ndim(); })
        return x.size(0);
      else
        return static_cast<std::int64_t>(x.size());
    });
  }
};
}  // namespace detail

/// Makes PaddedBatches: ids filled up with `value` (features too), labels of steps with `ignore`.
struct PadSequences {
  std::int64_t value = 0;
  PadSide side = PadSide::right;
  template <class T>
  PaddedBatch operator()(std::vector<T> items) const {
    return detail::pad_columns(detail::sequence_columns(items), value, side);
  }
};
/// Makes PackedBatches; the items come longest first, as batch_by_length() gives them. Empty sequences are a
/// ValueError.
struct PackSequences {
  template <class T>
  PackedBatch operator()(std::vector<T> items) const {
    return detail::pack_columns(detail::sequence_columns(items));
  }
};

/// Batches of sequences of similar lengths. `collate` is PadSequences, PackSequences or a function of a
/// vector of items.
template <source S, class C>
auto batch_by_length(S&& s, std::int64_t size, C collate, LengthOptions o = {}) {
  return batch_by_length(std::forward<S>(s), size, detail::SequenceLength{}, std::move(o),
                         std::move(collate));
}

}  // namespace knet
