// Data sets everybody has, by name.
#pragma once
#include <cstdint>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

/// Small grey images in ten classes, to be taken apart: auto [xtrn, ytrn, xtst, ytst] = datasets::mnist();
struct Mnist {
  Tensor xtrn;  ///< [60000, 1, 28, 28] in [0, 1], of the default dtype; bytes when asked for
  Tensor ytrn;  ///< [60000], 0 to 9, i64
  Tensor xtst;  ///< [10000, 1, 28, 28]
  Tensor ytst;  ///< [10000]
};

/// Handwritten digits. The four IDX files (`train-images-idx3-ubyte`, also with a dot before `idx`, plain or
/// .gz) are taken from `folder` when it is given, and else from the first of: $KNET_DATA/mnist, $KNET_DATA,
/// the system's package (/usr/share/datasets), the cache ($XDG_CACHE_HOME or ~/.cache)/knetlayers/mnist.
/// Where they are in none of them they are downloaded into the cache and their checksums compared, unless the
/// library was built without libcurl or $KNET_OFFLINE is set. `limit` keeps only that many images of each
/// part; -1 keeps all. `xtype` f32 or f64: the file's bytes / 255 in it; u8: the bytes (a quarter of the
/// memory; minibatch(x, y, 100, {.xtype = f32, .divisor = 255}) makes the same batches of them). IoError,
/// saying where it looked and what to install, when they are not found, and for damaged files; ValueError for
/// a limit of 0 and another xtype.
Mnist mnist(const std::string& folder = "", std::int64_t limit = -1, DType xtype = default_dtype());

/// Pieces of clothing, of the same form and found in the same way, under the name `fashion-mnist`
/// (Debian: apt install dataset-fashion-mnist).
Mnist fashion_mnist(const std::string& folder = "", std::int64_t limit = -1, DType xtype = default_dtype());

}  // namespace knet::datasets
