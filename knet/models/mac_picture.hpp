// Where a MAC network looked, drawn onto the picture.
#pragma once
#include <string>
#include <vector>

#include "knet/models/mac.hpp"

namespace knet::models {

/// The picture u8 [3, H, W] with an attention map [h, w] over it: what was not looked at is dark, the
/// brightest cell is as in the picture. The map is brought to the picture's size by PIL's bicubic filter.
/// ShapeError for other shapes, ValueError for a map with negative or no numbers.
Tensor draw_attention(const Tensor& picture, const Tensor& map);
/// The picture and, beside it, every step's map of one question, `cells` [steps, h, w]: one row, u8 [3, H,
/// ...].
Tensor draw_steps(const Tensor& picture, const Tensor& cells);
/// A line for every step with the words and their shares in per cent, the most important in brackets:
/// "1: what 3 shape 7 [red] 88 ...". `weights` [steps, at least as many as there are words].
std::string show_steps(const std::vector<std::string>& words, const Tensor& weights);

}  // namespace knet::models
