// A thread that helps in the background must not bring a team of threads of its own.
#pragma once

namespace knet {

/// While it lives, kernels called on this thread stay on it: threads() is 1 here, and nowhere else.
class OneThread {
 public:
  OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread();
};

}  // namespace knet
