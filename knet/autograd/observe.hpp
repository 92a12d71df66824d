// Watching what operators and kernels do: profiles, summaries and graphs of models are Observers.
//
// Nobody watching costs one predictable branch per recorded operator, and nothing per kernel: the table of
// kernels gives way to one that reports only while somebody watches. Not installed.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/param.hpp"

namespace knet {

/// Told what happens, in the order of each thread; by several threads at once when it watches all of them.
/// A call must not throw, and what it does with tensors is not reported.
struct Observer {
  struct Kernel {
    const char* name;               ///< the entry of the table: "matmul"
    const char* function;           ///< of an elementwise one: "tanh"; else nullptr
    std::span<const Shape> arrays;  ///< what it was given
    double flops;                   ///< see TracedOp
    const void* const* arguments;   ///< the address of each, in the order of the entry
  };
  /// Shall operators find weights packed? If not, kernels see every weight as it is.
  virtual bool packs() const { return true; }
  virtual void kernel_begins(const Kernel&) {}
  virtual void kernel_ends() {}
  /// y, just computed from the inputs (some may be empty), was put on the tape.
  virtual void recorded(const char* /*name*/, const Tensor& /*y*/, std::span<const Tensor* const>) {}
  /// A parameter was read on the tape.
  virtual void read(std::uint64_t /*id*/, const Tensor& /*leaf*/) {}
  /// A layer of this type begins, at this address; or the last one that began ends. Not all layers say so,
  /// see layer_call.hpp.
  virtual void layer_begins(const void* /*layer*/, std::string_view /*type*/) {}
  virtual void layer_ends() {}
  virtual void backward_begins(const char* /*name*/, const Tensor& /*dy*/) {}
  virtual void backward_ends() {}

 protected:
  ~Observer() = default;
};

/// While it lives, the observer is told about this thread; watches may lie in one another.
class Watch {
 public:
  explicit Watch(Observer&);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  Observer* outer_;
};
/// Tells the observer, which must never end, about all threads; nullptr: nobody any more. At most one:
/// false when there is another.
bool watch_all_threads(Observer*);

namespace tape {
// Tell those who watch this thread.
void tell_recorded(const char* name, const Tensor& y, const Tensor* const* inputs, int n);
void tell_read(std::uint64_t id, const Tensor& leaf);
/// Does this thread have an observer of its own, which wants to see frozen parameters too?
bool traced();
/// Around a node's backward function.
class TellBackward {
 public:
  TellBackward(const char* name, const Tensor& dy);
  ~TellBackward();
  TellBackward(const TellBackward&) = delete;
  TellBackward& operator=(const TellBackward&) = delete;
};
}  // namespace tape

}  // namespace knet
