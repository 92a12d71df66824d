// Trains a model of the user's own on two clouds of points, saves it, loads it, and compares.
#include <cstdio>
#include <knet/knet.hpp>

using namespace knet;

struct TwoLayers {
  Dense hidden{.input = 2, .output = 16, .activation = relu};
  Linear out{.input = 16, .output = 2};
  Tensor operator()(const Tensor& x) const { return out(hidden(x)); }
};

int main() {
  seed(1);
  const Tensor y = randint(0, 2, {400});
  const Tensor x = randn({400, 2}) + 4.0 * y.to(f32).reshape({400, 1});
  const auto data = minibatch(x, y, 20, {.shuffle = true});
  TwoLayers model;
  train(sgd(model, nll, repeat(data, 5), {.lr = 0.1}));
  const double reached = accuracy(model, data);
  save("consumer.safetensors", model);
  TwoLayers again;
  load("consumer.safetensors", again);
  const bool same = equal(again(x), model(x));
  std::remove("consumer.safetensors");
  std::printf("accuracy %.3f, loaded model %s\n", reached, same ? "equal" : "differs");
  return reached > 0.95 && same ? 0 : 1;
}
