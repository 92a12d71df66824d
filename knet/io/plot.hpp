// Line plots for reports, without any other tool: axes, ticks, a grid, labels in a small bitmap font, a
// legend.
//
//   io::save_plot("loss.png", {{.name = "train", .y = train}, {.name = "test", .y = test}},
//                 {.title = "Loss", .x_label = "epoch", .log_y = true});
#pragma once
#include <string>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// One line. A value that is not finite (or, on a logarithmic axis, not positive) leaves a gap.
struct Series {
  std::string name = {};       ///< in the legend, when it is not empty
  std::vector<double> x = {};  ///< as many as y; empty: 0, 1, 2, ...
  std::vector<double> y = {};
};
struct PlotOptions {
  std::string title = {}, x_label = {}, y_label = {};  ///< ASCII; other characters show as boxes
  int width = 800, height = 500;                       ///< pixels, 200 to 10000
  bool log_y = false;
};

/// The picture as u8 [3, height, width]. ValueError without series, for x and y of different lengths, and for
/// sizes out of range.
Tensor plot(const std::vector<Series>&, const PlotOptions& = {});
/// The same as a PNG file.
void save_plot(const std::string& path, const std::vector<Series>&, const PlotOptions& = {});

}  // namespace knet::io
