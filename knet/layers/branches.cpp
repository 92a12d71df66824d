#include "knet/layers/branches.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/shape.hpp"

namespace knet {
namespace {

std::vector<Tensor> results(const char* who, const std::vector<Layer>& branches, const Tensor& x) {
  if (branches.empty()) fail<ValueError>(who, ": there are no branches");
  std::vector<Tensor> r;
  r.reserve(branches.size());
  for (const Layer& l : branches) r.push_back(l(x));
  return r;
}

}  // namespace

Tensor Concat::operator()(const Tensor& x) const { return cat(results("Concat", branches, x), dim); }

Tensor Add::operator()(const Tensor& x) const {
  const std::vector<Tensor> r = results("Add", branches, x);
  Tensor sum = r[0];
  for (std::size_t i = 1; i < r.size(); ++i) {
    if (r[i].shape() != sum.shape())
      fail<ShapeError>("Add: branch ", i, " gives ", r[i].shape(), ", branch 0 ", sum.shape());
    sum = sum + r[i];
  }
  return sum;
}

}  // namespace knet
