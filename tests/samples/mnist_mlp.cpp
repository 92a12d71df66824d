#include <iostream>
#include "knet/knet.hpp"
using namespace knet;

int main(int argc, char** argv) {
  auto [xtrn, ytrn, xtst, ytst] =
      datasets::mnist(argc > 1 ? argv[1] : "data/mnist", argc > 2 ? std::stoll(argv[2]) : -1);
  auto dtrn = minibatch(mat(xtrn), ytrn, 100), dtst = minibatch(mat(xtst), ytst, 100);

  MLP model{{784, 100, 50, 10}};
  train(progress(sgd(model, nll, repeat(dtrn, 10))));

  std::cout << "accuracy " << 100 * accuracy(model, dtst) << "\n";
}
