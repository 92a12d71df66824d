#include <iostream>
#include "knet/knet.hpp"
using namespace knet;

int main(int argc, char** argv) {
  auto [xtrn, ytrn, xtst, ytst] =
      datasets::mnist(argc > 1 ? argv[1] : "data/mnist", argc > 2 ? std::stoll(argv[2]) : -1);
  auto dtrn = minibatch(xtrn, ytrn, 100), dtst = minibatch(xtst, ytst, 100);

  auto model = Chain{Conv{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu},
                     Pool{.window = 2},
                     Conv{.height = 5, .width = 5, .inout = {12, 12}, .activation = Tanh{}},
                     Pool{.window = 2},
                     mat,
                     Dense{.input = 4 * 4 * 12, .output = 13, .activation = Tanh{}},
                     Linear{.input = 13, .output = 10}};
  train(progress(sgd(model, nll, repeat(dtrn, 10))));

  std::cout << show(model) << "\naccuracy " << 100 * accuracy(model, dtst) << "\n";
}
