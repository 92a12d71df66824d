// Kernels do not wait for a thread that is late, so that one may take part for the first time, and ask for
// the memory it needs, at any later moment. Not after it was waited for once.
#pragma once

namespace knet {

/// While it lives, kernels called on this thread leave every thread of the pool its part, however late it is.
class AllThreads {
 public:
  AllThreads();
  AllThreads(const AllThreads&) = delete;
  AllThreads& operator=(const AllThreads&) = delete;
  ~AllThreads();
};

}  // namespace knet
