// GoogLeNet, Inception v3 and DCGAN on LibTorch's side, with the names of this library's models.
#pragma once
#include <map>
#include <string>

#include "torch.hpp"

namespace peer {

namespace nn = torch::nn;
using Pair = torch::ExpandingArray<2>;

/// relu(normalised convolution)
struct BasicConvImpl : nn::Module {
  nn::Conv2d conv;
  nn::BatchNorm2d bn;
  BasicConvImpl(std::int64_t from, std::int64_t to, Pair window, Pair padding, std::int64_t stride)
      : conv(register_module(
            "conv",
            nn::Conv2d(nn::Conv2dOptions(from, to, window).padding(padding).stride(stride).bias(false)))),
        bn(register_module("bn", nn::BatchNorm2d(nn::BatchNorm2dOptions(to).eps(0.001)))) {}
  Tensor forward(const Tensor& x) { return relu_of(bn(conv(x))); }
};

/// Convolutions by name, and what a chain of them gives.
struct Mixed : nn::Module {
  std::map<std::string, std::shared_ptr<BasicConvImpl>> convolutions;

  void add(const std::string& name, std::int64_t from, std::int64_t to, Pair window = 1, Pair padding = 0,
           std::int64_t stride = 1) {
    convolutions[name] =
        register_module(name, std::make_shared<BasicConvImpl>(from, to, window, padding, stride));
  }
  Tensor through(Tensor x, std::initializer_list<const char*> names) {
    for (const char* name : names) x = convolutions.at(name)->forward(x);
    return x;
  }
  static Tensor mean3x3(const Tensor& x) { return torch::avg_pool2d(x, 3, 1, 1); }
  static Tensor max3x3(const Tensor& x) { return torch::max_pool2d(x, 3, 2); }
};

struct GoogLeNetBlockImpl : nn::Module {
  std::shared_ptr<BasicConvImpl> branch1;
  nn::Sequential branch2, branch3, branch4;
  GoogLeNetBlockImpl(std::int64_t from, std::int64_t c1, std::int64_t c3, std::int64_t c3b, std::int64_t c5,
                     std::int64_t c5b, std::int64_t pooled) {
    const auto conv = [](std::int64_t a, std::int64_t b, std::int64_t window) {
      return std::make_shared<BasicConvImpl>(a, b, window, window / 2, 1);
    };
    branch1 = register_module("branch1", conv(from, c1, 1));
    branch2 = register_module("branch2", nn::Sequential(conv(from, c3, 1), conv(c3, c3b, 3)));
    branch3 = register_module("branch3", nn::Sequential(conv(from, c5, 1), conv(c5, c5b, 3)));
    branch4 = register_module(
        "branch4",
        nn::Sequential(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(1).padding(1)), conv(from, pooled, 1)));
  }
  Tensor forward(const Tensor& x) {
    return torch::cat({branch1->forward(x), branch2->forward(x), branch3->forward(x), branch4->forward(x)},
                      1);
  }
};
struct GoogLeNetImpl : Mixed {
  std::vector<std::shared_ptr<GoogLeNetBlockImpl>> blocks;
  nn::Linear fc{1024, 1000};
  GoogLeNetImpl() {
    add("conv1", 3, 64, 7, 3, 2), add("conv2", 64, 64), add("conv3", 64, 192, 3, 1);
    const auto block = [&](const char* name, auto... sizes) {
      blocks.push_back(register_module(name, std::make_shared<GoogLeNetBlockImpl>(sizes...)));
    };
    block("inception3a", 192, 64, 96, 128, 16, 32, 32);
    block("inception3b", 256, 128, 128, 192, 32, 96, 64);
    block("inception4a", 480, 192, 96, 208, 16, 48, 64);
    block("inception4b", 512, 160, 112, 224, 24, 64, 64);
    block("inception4c", 512, 128, 128, 256, 24, 64, 64);
    block("inception4d", 512, 112, 144, 288, 32, 64, 64);
    block("inception4e", 528, 256, 160, 320, 32, 128, 128);
    block("inception5a", 832, 256, 160, 320, 32, 128, 128);
    block("inception5b", 832, 384, 192, 384, 48, 128, 128);
    register_module("fc", fc);
  }
  Tensor forward(const Tensor& images) {
    const auto pool = [](const Tensor& x, std::int64_t window) {
      return torch::max_pool2d(x, window, 2, 0, 1, /*ceil_mode=*/true);
    };
    Tensor x = pool(through(images, {"conv1"}), 3);
    x = pool(through(x, {"conv2", "conv3"}), 3);
    for (std::size_t i = 0; i < blocks.size(); ++i)
      x = blocks[i]->forward(i == 2 ? pool(x, 3) : i == 7 ? pool(x, 2) : x);
    return fc(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
};

struct InceptionAImpl : Mixed {
  InceptionAImpl(std::int64_t from, std::int64_t pooled) {
    add("branch1x1", from, 64);
    add("branch5x5_1", from, 48), add("branch5x5_2", 48, 64, 5, 2);
    add("branch3x3dbl_1", from, 64), add("branch3x3dbl_2", 64, 96, 3, 1), add("branch3x3dbl_3", 96, 96, 3, 1);
    add("branch_pool", from, pooled);
  }
  Tensor forward(const Tensor& x) {
    return torch::cat({through(x, {"branch1x1"}), through(x, {"branch5x5_1", "branch5x5_2"}),
                       through(x, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}),
                       through(mean3x3(x), {"branch_pool"})},
                      1);
  }
};
struct InceptionBImpl : Mixed {
  explicit InceptionBImpl(std::int64_t from) {
    add("branch3x3", from, 384, 3, 0, 2);
    add("branch3x3dbl_1", from, 64), add("branch3x3dbl_2", 64, 96, 3, 1);
    add("branch3x3dbl_3", 96, 96, 3, 0, 2);
  }
  Tensor forward(const Tensor& x) {
    return torch::cat({through(x, {"branch3x3"}),
                       through(x, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}), max3x3(x)},
                      1);
  }
};
struct InceptionCImpl : Mixed {
  InceptionCImpl(std::int64_t from, std::int64_t middle) {
    const Pair row({1, 7}), row_padding({0, 3}), column({7, 1}), column_padding({3, 0});
    add("branch1x1", from, 192);
    add("branch7x7_1", from, middle);
    add("branch7x7_2", middle, middle, row, row_padding);
    add("branch7x7_3", middle, 192, column, column_padding);
    add("branch7x7dbl_1", from, middle);
    add("branch7x7dbl_2", middle, middle, column, column_padding);
    add("branch7x7dbl_3", middle, middle, row, row_padding);
    add("branch7x7dbl_4", middle, middle, column, column_padding);
    add("branch7x7dbl_5", middle, 192, row, row_padding);
    add("branch_pool", from, 192);
  }
  Tensor forward(const Tensor& x) {
    return torch::cat({through(x, {"branch1x1"}), through(x, {"branch7x7_1", "branch7x7_2", "branch7x7_3"}),
                       through(x, {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4",
                                   "branch7x7dbl_5"}),
                       through(mean3x3(x), {"branch_pool"})},
                      1);
  }
};
struct InceptionDImpl : Mixed {
  explicit InceptionDImpl(std::int64_t from) {
    add("branch3x3_1", from, 192), add("branch3x3_2", 192, 320, 3, 0, 2);
    add("branch7x7x3_1", from, 192);
    add("branch7x7x3_2", 192, 192, Pair({1, 7}), Pair({0, 3}));
    add("branch7x7x3_3", 192, 192, Pair({7, 1}), Pair({3, 0}));
    add("branch7x7x3_4", 192, 192, 3, 0, 2);
  }
  Tensor forward(const Tensor& x) {
    return torch::cat(
        {through(x, {"branch3x3_1", "branch3x3_2"}),
         through(x, {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"}), max3x3(x)},
        1);
  }
};
struct InceptionEImpl : Mixed {
  explicit InceptionEImpl(std::int64_t from) {
    const Pair row({1, 3}), row_padding({0, 1}), column({3, 1}), column_padding({1, 0});
    add("branch1x1", from, 320);
    add("branch3x3_1", from, 384);
    add("branch3x3_2a", 384, 384, row, row_padding), add("branch3x3_2b", 384, 384, column, column_padding);
    add("branch3x3dbl_1", from, 448), add("branch3x3dbl_2", 448, 384, 3, 1);
    add("branch3x3dbl_3a", 384, 384, row, row_padding);
    add("branch3x3dbl_3b", 384, 384, column, column_padding);
    add("branch_pool", from, 192);
  }
  Tensor forward(const Tensor& x) {
    const Tensor once = through(x, {"branch3x3_1"}), twice = through(x, {"branch3x3dbl_1", "branch3x3dbl_2"});
    return torch::cat({through(x, {"branch1x1"}), through(once, {"branch3x3_2a"}),
                       through(once, {"branch3x3_2b"}), through(twice, {"branch3x3dbl_3a"}),
                       through(twice, {"branch3x3dbl_3b"}), through(mean3x3(x), {"branch_pool"})},
                      1);
  }
};
struct InceptionV3Impl : Mixed {
  nn::Sequential mixed;
  nn::Linear fc{2048, 1000};
  InceptionV3Impl() {
    add("Conv2d_1a_3x3", 3, 32, 3, 0, 2), add("Conv2d_2a_3x3", 32, 32, 3), add("Conv2d_2b_3x3", 32, 64, 3, 1);
    add("Conv2d_3b_1x1", 64, 80), add("Conv2d_4a_3x3", 80, 192, 3);
    const auto module = [&](const char* name, auto m) { mixed->push_back(register_module(name, m)); };
    module("Mixed_5b", std::make_shared<InceptionAImpl>(192, 32));
    module("Mixed_5c", std::make_shared<InceptionAImpl>(256, 64));
    module("Mixed_5d", std::make_shared<InceptionAImpl>(288, 64));
    module("Mixed_6a", std::make_shared<InceptionBImpl>(288));
    module("Mixed_6b", std::make_shared<InceptionCImpl>(768, 128));
    module("Mixed_6c", std::make_shared<InceptionCImpl>(768, 160));
    module("Mixed_6d", std::make_shared<InceptionCImpl>(768, 160));
    module("Mixed_6e", std::make_shared<InceptionCImpl>(768, 192));
    module("Mixed_7a", std::make_shared<InceptionDImpl>(768));
    module("Mixed_7b", std::make_shared<InceptionEImpl>(1280));
    module("Mixed_7c", std::make_shared<InceptionEImpl>(2048));
    register_module("fc", fc);
  }
  Tensor forward(const Tensor& images) {
    Tensor x = max3x3(through(images, {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"}));
    x = mixed->forward(max3x3(through(x, {"Conv2d_3b_1x1", "Conv2d_4a_3x3"})));
    return fc(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
};

// ---- DCGAN for images of 28 x 28, width 64 ----

struct DCGeneratorImpl : nn::Module {
  nn::ModuleList stages, norms;
  DCGeneratorImpl() {
    const auto stage = [&](nn::ConvTranspose2dOptions o) { stages->push_back(nn::ConvTranspose2d(o)); };
    stage(nn::ConvTranspose2dOptions(100, 128, 7).bias(false));
    stage(nn::ConvTranspose2dOptions(128, 64, 4).stride(2).padding(1).bias(false));
    stage(nn::ConvTranspose2dOptions(64, 1, 4).stride(2).padding(1));
    for (const int channels : {128, 64}) norms->push_back(nn::BatchNorm2d(channels));
    register_module("stages", stages), register_module("norms", norms);
  }
  Tensor forward(const Tensor& z) {
    const auto stage = [&](std::size_t i, const Tensor& x) {
      return stages[i]->as<nn::ConvTranspose2d>()->forward(x);
    };
    Tensor x = z.reshape({z.size(0), 100, 1, 1});
    for (std::size_t i = 0; i < 2; ++i) x = relu_of(norms[i]->as<nn::BatchNorm2d>()->forward(stage(i, x)));
    return torch::tanh_(x = stage(2, x));
  }
};
struct DCDiscriminatorImpl : nn::Module {
  nn::ModuleList stages, norms;
  DCDiscriminatorImpl() {
    const auto stage = [&](nn::Conv2dOptions o) { stages->push_back(nn::Conv2d(o)); };
    stage(nn::Conv2dOptions(1, 64, 4).stride(2).padding(1));
    stage(nn::Conv2dOptions(64, 128, 4).stride(2).padding(1).bias(false));
    stage(nn::Conv2dOptions(128, 1, 7));
    norms->push_back(nn::BatchNorm2d(128));
    register_module("stages", stages), register_module("norms", norms);
  }
  Tensor forward(const Tensor& images) {
    const auto stage = [&](std::size_t i, const Tensor& x) {
      return stages[i]->as<nn::Conv2d>()->forward(x);
    };
    Tensor x = stage(0, images);
    x = norms[0]->as<nn::BatchNorm2d>()->forward(stage(1, torch::leaky_relu_(x, 0.2)));
    return stage(2, torch::leaky_relu_(x, 0.2)).flatten();
  }
};

}  // namespace peer
