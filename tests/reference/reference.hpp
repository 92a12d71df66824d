// The values that the scripts of this folder have made, and how they are compared.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "knet/knet.hpp"

namespace knet::test {

using Reference = std::map<std::string, Tensor>;

/// tests/data/NAME.safetensors
inline Reference load_reference(const std::string& name) {
  Reference m;
  for (auto& [key, t] : io::load_safetensors(KNET_SOURCE_DIR "/tests/data/" + name + ".safetensors").tensors)
    m[key] = t;
  return m;
}
/// Equal shapes, and values up to `tolerance`, absolute and relative.
inline void expect_close(const Tensor& got, const Tensor& expected, const std::string& what,
                         double tolerance = 1e-9) {
  ASSERT_TRUE(got && expected) << what;
  ASSERT_EQ(got.shape(), expected.shape()) << what;
  EXPECT_TRUE(allclose(got.to(f64), expected.to(f64), tolerance, tolerance))
      << what << " is " << got << "\nexpected " << expected;
}

}  // namespace knet::test
