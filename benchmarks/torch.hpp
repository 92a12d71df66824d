// What the files of LibTorch's side share.
#pragma once
#include <torch/torch.h>

#include <cstdlib>
#include <memory>

#include "common.hpp"

namespace peer {

using torch::Tensor;

inline Tensor tensor(const std::vector<float>& v, torch::IntArrayRef shape) {
  return torch::from_blob(const_cast<float*>(v.data()), shape, torch::kFloat).clone();
}
inline Tensor tensor(const std::vector<std::int64_t>& v, torch::IntArrayRef shape) {
  return torch::from_blob(const_cast<std::int64_t*>(v.data()), shape, torch::kLong).clone();
}
inline double digest(const Tensor& t) {
  const Tensor c = t.detach().contiguous();
  return bench::digest(c.data_ptr<float>(), static_cast<std::size_t>(c.numel()));
}

// What zero_grad(set_to_none) does where a version has it.
inline void drop_gradients(std::vector<Tensor>& parameters) {
  for (Tensor& p : parameters) p.mutable_grad() = Tensor();
}

// In place, of a temporary.
inline Tensor relu_of(Tensor x) { return torch::relu_(x); }

// One of compare.py's settings: images and kernels with their channels last in memory.
inline bool channels_last() { return std::getenv("KNET_BENCH_CHANNELS_LAST") != nullptr; }
inline Tensor image(const Tensor& t) {
  return channels_last() ? t.contiguous(torch::MemoryFormat::ChannelsLast) : t;
}

// The first values of all parameters, and the way back to them.
inline void start(torch::nn::Module& m) {
  const torch::NoGradGuard no_grad;
  for (auto& e : m.named_parameters()) {
    Tensor& p = e.value();
    const Tensor first = tensor(bench::parameter(e.key(), p.sizes().vec()), p.sizes());
    if (p.dim() == 4 && channels_last())
      p.set_data(first.contiguous(torch::MemoryFormat::ChannelsLast));
    else
      p.copy_(first);
  }
}

void add_vision(std::vector<bench::Entry>&);
void add_sequences(std::vector<bench::Entry>&);

}  // namespace peer
