// Says which layer is running. An operator belongs to the layer whose parameters it reads; a layer without
// any says so itself, or the Chain or Sequence that calls it does.
#pragma once
#include <atomic>
#include <memory>
#include <string_view>

#include "knet/base/reflect.hpp"

namespace knet {

namespace tape {
/// How many watch (autograd/observe.hpp), on any thread.
extern constinit std::atomic<int> watchers;
inline bool watched() { return watchers.load(std::memory_order_relaxed) != 0; }
void tell_layer_begins(const void* layer, std::string_view type);
void tell_layer_ends();
}  // namespace tape

/// While it lives, what runs is part of this layer. Where nobody watches it costs one predictable branch.
class LayerCall {
 public:
  template <class T>
  explicit LayerCall(const T& layer) : told_(tape::watched()) {
    if (told_) tape::tell_layer_begins(std::addressof(layer), reflect::type_name<T>());
  }
  ~LayerCall() {
    if (told_) tape::tell_layer_ends();
  }
  LayerCall(const LayerCall&) = delete;
  LayerCall& operator=(const LayerCall&) = delete;

 private:
  bool told_;
};

}  // namespace knet
