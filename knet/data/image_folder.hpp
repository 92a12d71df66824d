// Images in folders named after their classes: root/cat/1.jpg, root/dog/2.png.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "knet/data/transforms.hpp"

namespace knet::datasets {

struct ImageFolderOptions {
  /// Applied to each image (u8 [3, H, W]) when it is asked for.
  transforms::Pipeline transform = {};
  int channels = 3;        ///< as io::read_image's
  bool orient = true;      ///< as io::read_image's
  std::uint64_t seed = 0;  ///< of random transforms
};

/// A list of files; an image is read when it is asked for, and not kept. Classes are numbered in the order of
/// their folders' names (byte by byte), images ordered by class and path; subfolders of a class belong to it.
/// Files that do not end in .png, .jpg or .jpeg (in any case), and names that start with a dot, are left out.
class ImageFolder {
 public:
  using value_type = std::pair<Tensor, std::int64_t>;

  /// IoError when `root` can not be read, has no folders, or a class has no images.
  explicit ImageFolder(const std::string& root, ImageFolderOptions = {});

  std::size_t size() const { return files_.size(); }
  /// The transformed image and its class. Random transforms are a function of (seed, pass, i): the same
  /// whichever thread asks, and in whatever order. May be called from several threads.
  value_type operator[](std::size_t i) const;
  /// Other random numbers from now on; call it with the number of the pass through the data.
  void set_pass(std::uint64_t pass) { pass_ = pass; }

  const std::vector<std::string>& classes() const { return classes_; }
  const std::string& path(std::size_t i) const;
  std::int64_t label(std::size_t i) const;

 private:
  struct File {
    std::string path;
    std::int64_t label;
  };
  const File& file(std::size_t i) const;

  ImageFolderOptions o_;
  std::uint64_t pass_ = 0;
  std::vector<std::string> classes_;
  std::vector<File> files_;
};

}  // namespace knet::datasets
