#include "knet/data/image_folder.hpp"

#include <algorithm>
#include <filesystem>

#include "knet/base/text.hpp"
#include "knet/io/image.hpp"

namespace knet::datasets {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& p) {
  std::string e = p.extension().string();
  for (char& c : e) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return !p.filename().string().starts_with('.') && (e == ".png" || e == ".jpg" || e == ".jpeg");
}

}  // namespace

ImageFolder::ImageFolder(const std::string& root, ImageFolderOptions o) : o_(std::move(o)) {
  try {
    for (const auto& d : fs::directory_iterator(root))
      if (d.is_directory() && !d.path().filename().string().starts_with('.'))
        classes_.push_back(d.path().filename().string());
    std::sort(classes_.begin(), classes_.end());
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      std::vector<std::string> paths;
      for (const auto& f : fs::recursive_directory_iterator(text(root, '/', classes_[c])))
        if (f.is_regular_file() && is_image(f.path())) paths.push_back(f.path().string());
      if (paths.empty())
        fail<IoError>("ImageFolder: ", root, '/', classes_[c], ": has no .png, .jpg or .jpeg");
      std::sort(paths.begin(), paths.end());
      for (auto& p : paths) files_.push_back({std::move(p), static_cast<std::int64_t>(c)});
    }
  } catch (const fs::filesystem_error& e) {
    fail<IoError>("ImageFolder: ", root, ": ", e.code().message());
  }
  if (classes_.empty())
    fail<IoError>("ImageFolder: ", root, ": has no folders (expected one for each class)");
}

const ImageFolder::File& ImageFolder::file(std::size_t i) const {
  if (i >= files_.size()) fail<ValueError>("ImageFolder: image ", i, " of ", files_.size());
  return files_[i];
}
const std::string& ImageFolder::path(std::size_t i) const { return file(i).path; }
std::int64_t ImageFolder::label(std::size_t i) const { return file(i).label; }

ImageFolder::value_type ImageFolder::operator[](std::size_t i) const {
  const File& f = file(i);
  Tensor image = io::read_image(f.path, {.channels = o_.channels, .orient = o_.orient});
  std::uint32_t r[4];
  philox::block({o_.seed, pass_}, i, r);
  Generator g(std::uint64_t{r[0]} << 32 | r[1]);
  return {o_.transform(image, g), f.label};
}

}  // namespace knet::datasets
