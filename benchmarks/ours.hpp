// What the files of this library's side share.
#pragma once
#include <knet/knet.hpp>
#include <memory>

#include "common.hpp"

namespace ours {

inline knet::Tensor tensor(const std::vector<float>& v, const knet::Shape& shape) { return {v, shape}; }
inline knet::Tensor tensor(const std::vector<std::int64_t>& v, const knet::Shape& shape) {
  return {v, shape};
}
inline double digest(const knet::Tensor& t) {
  const knet::Tensor c = t.contiguous();
  return bench::digest(c.data<float>(), static_cast<std::size_t>(c.numel()));
}

// The first values of all parameters of a model, and the way back to them.
class Start {
 public:
  template <class M>
  void operator()(M& model) {
    const auto all = knet::named_params(model);
    if (first_.empty()) {
      for (const auto& e : all) {
        const knet::Shape& s = e.param->shape();
        first_.push_back(tensor(bench::parameter(e.name, {s.begin(), s.end()}), s));
      }
    }
    for (std::size_t i = 0; i < all.size(); ++i) *all[i].param = first_[i];
  }

 private:
  std::vector<knet::Tensor> first_;
};

void add_vision(std::vector<bench::Entry>&);
void add_sequences(std::vector<bench::Entry>&);

}  // namespace ours
