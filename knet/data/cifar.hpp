// CIFAR-10 and CIFAR-100 (Krizhevsky 2009, "Learning multiple layers of features from tiny images").
#pragma once
#include <cstdint>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

/// Small colour images: auto [xtrn, ytrn, xtst, ytst] = datasets::cifar10();
struct Cifar {
  Tensor xtrn;  ///< [50000, 3, 32, 32] in [0, 1], of the default dtype
  Tensor ytrn;  ///< [50000], i64
  Tensor xtst;  ///< [10000, 3, 32, 32]
  Tensor ytst;  ///< [10000]
};

/// Ten classes, from the binary version: `data_batch_1.bin` ... `data_batch_5.bin` and `test_batch.bin`. They
/// are taken from `folder` when it is given (or its subfolder `cifar-10-batches-bin`), and else from the
/// first of $KNET_DATA/cifar-10, $KNET_DATA, /usr/share/datasets/cifar-10 and the cache
/// ($XDG_CACHE_HOME or ~/.cache)/knetlayers/cifar-10. In the last resort `cifar-10-binary.tar.gz` (170 MB) is
/// downloaded into the cache, its checksum compared, and unpacked there, unless the library was built without
/// libcurl or $KNET_OFFLINE is set. `limit` keeps only that many images of each part; -1 keeps all. IoError,
/// saying where it looked, when they are not found, and for damaged files; ValueError for a limit of 0.
Cifar cifar10(const std::string& folder = "", std::int64_t limit = -1);

enum class CifarLabels { fine, coarse };
/// A hundred classes (`fine`), or the twenty they are grouped into: `train.bin` and `test.bin`, found in the
/// same way under the names `cifar-100` and `cifar-100-binary`.
Cifar cifar100(const std::string& folder = "", std::int64_t limit = -1, CifarLabels = CifarLabels::fine);

}  // namespace knet::datasets
