// Sort-of-CLEVR, drawn here: images of six coloured squares and circles, with questions about one object
// and about how objects relate (Santoro et al. 2017, arXiv:1706.01427).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

/// Of n images. In every image each colour is there once: red, green, blue, orange, grey, yellow. Questions
/// 0 to 9 of an image are non-relational, 10 to 19 relational; none is asked twice.
struct SortOfClevr {
  Tensor images;     ///< [n, 3, 75, 75], u8, on white
  Tensor questions;  ///< [n, 20, 11], f32: six bits for the colour, two for the kind, three for the subtype
  Tensor answers;    ///< [n, 20], i64: classes as in sort_of_clevr_answers
  /// [n, 6, 3], i64, by colour: column and row of the centre, 0 for a square and 1 for a circle.
  Tensor objects;
};

/// What the classes mean.
inline constexpr std::array<const char*, 10> sort_of_clevr_answers = {"yes", "no", "square", "circle", "1",
                                                                      "2",   "3",  "4",      "5",      "6"};

/// Bits 6 and 7 of a question say non-relational and relational; bits 8 to 10 ask of the object of the
/// colour: its shape; is it on the left; is it in the upper half; relational: the shape of the object closest
/// to it; of the one furthest from it; how many objects have its shape (itself counted). Image i depends on
/// the seed and i alone. ValueError for n below 1.
SortOfClevr sort_of_clevr(std::int64_t n, std::uint64_t seed);
/// The question in words: "Is the red object on the left?"
std::string sort_of_clevr_text(const Tensor& question);

}  // namespace knet::datasets
