// The last step of a sum over rows that threads took in blocks: the sums of the blocks, one row each,
// together.
#pragma once
#include <algorithm>
#include <cstdint>

#include "knet/base/threads.hpp"

namespace knet::cpu_impl {

/// sums[j] = parts[j] + parts[distance + j] + .. for `count` rows of n columns, in double. Rows are read in
/// order: column after column each number would be another line of the cache. `sums` may be the first row.
template <class T>
void column_sums(const T* parts, std::int64_t count, std::int64_t distance, std::int64_t n, T* sums) {
  constexpr std::int64_t chunk = 256;
  parallel_for(n, std::max(chunk, 32768 / std::max<std::int64_t>(1, count)),
               [&](std::int64_t from, std::int64_t to) {
                 for (std::int64_t j0 = from; j0 < to; j0 += chunk) {
                   double s[chunk] = {};
                   const std::int64_t m = std::min(chunk, to - j0);
                   for (std::int64_t b = 0; b < count; ++b) {
                     for (std::int64_t j = 0; j < m; ++j)
                       s[j] += static_cast<double>(parts[b * distance + j0 + j]);
                   }
                   for (std::int64_t j = 0; j < m; ++j) sums[j0 + j] = static_cast<T>(s[j]);
                 }
               });
}

}  // namespace knet::cpu_impl
