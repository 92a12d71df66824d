// CLEVR (Johnson et al. 2017, arXiv:1612.06890): questions about rendered scenes, and features of its images
// in one large file. https://cs.stanford.edu/people/jcjohns/clevr has CLEVR_v1.0.zip (io::unpack).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knet/data/datasets/glue.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

struct ClevrQuestion {
  std::string image;              ///< file name, "CLEVR_val_000000.png"
  std::int64_t image_index = -1;  ///< from 0: its place among the images of its part
  std::string question, answer;   ///< the test part has no answers
  std::int64_t family = -1;       ///< question_family_index; -1 where the file has none
  std::string function;           ///< the last of its program: "count", "query_color"; "" where there is none
};

/// <folder>/questions/CLEVR_train_questions.json (val for Part::dev, test), or the same in <folder>. Read in
/// one pass; of a question's program only the last function is kept. limit: at most so many; -1 for all.
/// IoError with the position of what is not JSON, or the number of a question without image or text.
std::vector<ClevrQuestion> clevr_questions(const std::string& folder, Part, std::int64_t limit = -1);
std::vector<ClevrQuestion> parse_clevr_questions(std::string_view json, std::int64_t limit = -1,
                                                 const std::string& name = "memory");

/// Features of images, one after the other as 32-bit floats (little endian) in a file without a header: of
/// ResNet-101, [1024, 14, 14] each, as MAC networks read them. A source: features[i] is the tensor of image
/// i, read when it is asked for, on any thread. The whole of CLEVR's is 70 GB; none of it stays in memory.
class ClevrFeatures {
 public:
  /// IoError when the file is missing or no whole number of images.
  explicit ClevrFeatures(const std::string& file, Shape image = {1024, 14, 14});
  std::size_t size() const;
  Tensor operator[](std::size_t i) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Writes such a file, image after image; it is there, whole, after commit().
class ClevrFeatureWriter {
 public:
  explicit ClevrFeatureWriter(const std::string& file) : file_(file) {}
  /// Features f32 of one or several images, of any shape.
  void write(const Tensor& features);
  void commit() { file_.commit(); }

 private:
  io::AtomicFile file_;
};

}  // namespace knet::datasets
