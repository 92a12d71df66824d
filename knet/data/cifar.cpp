#include "knet/data/cifar.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/download.hpp"
#include "knet/io/input_file.hpp"

namespace knet::datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t pixels = 3 * 32 * 32;

struct Source {
  const char* function;
  const char* name;
  const char* inside;  // the folder the archive unpacks to
  const char* url;
  const char* sha256;
  std::vector<const char*> train, test;
  std::int64_t labels;  // bytes before each image
};

const Source& ten() {
  static const Source s{
      "cifar10",
      "cifar-10",
      "cifar-10-batches-bin",
      "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
      "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      {"test_batch.bin"},
      1};
  return s;
}
const Source& hundred() {
  static const Source s{"cifar100",
                        "cifar-100",
                        "cifar-100-binary",
                        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                        {"train.bin"},
                        {"test.bin"},
                        2};
  return s;
}

bool is_there(const Source& s, const std::string& folder) {
  std::error_code error;
  const auto there = [&](const char* f) { return fs::is_regular_file(text(folder, '/', f), error); };
  return std::all_of(s.train.begin(), s.train.end(), there) &&
         std::all_of(s.test.begin(), s.test.end(), there);
}
// The folder itself or the one inside it; "" and a line about it when neither has all the files.
std::string find(const Source& s, const std::string& folder, std::string& looked) {
  if (is_there(s, folder)) return folder;
  const std::string inner = text(folder, '/', s.inside);
  if (is_there(s, inner)) return inner;
  looked += text("\n  ", folder, ": no ", s.train[0], " ... ", s.test[0]);
  return "";
}
std::string fetch(const Source& s, const std::string& cache, std::string& looked) {
  if (cache.empty()) return "";
  try {
    return find(
        s,
        io::download_unpacked(s.url, s.name, {.sha256 = s.sha256}, {.max_bytes = 1 << 29, .max_files = 100}),
        looked);
  } catch (const IoError& e) {
    looked += text("\n  ", e.what());
    return "";
  }
}

std::string locate(const Source& s, const std::string& folder) {
  std::string looked, found;
  if (!folder.empty()) {
    found = find(s, folder, looked);
  } else {
    const char* data = std::getenv("KNET_DATA");
    if (data && *data) {
      found = find(s, text(data, '/', s.name), looked);
      if (found.empty()) found = find(s, data, looked);
    }
    if (found.empty()) found = find(s, text("/usr/share/datasets/", s.name), looked);
    const std::string cache = io::cache_folder(s.name);
    if (found.empty() && !cache.empty()) found = find(s, cache, looked);
    if (found.empty()) found = fetch(s, cache, looked);
  }
  if (found.empty())
    fail<IoError>("datasets::", s.function, ": not found; looked in:", looked, "\nput the files of ", s.url,
                  " there", folder.empty() ? ", or set KNET_DATA to their folder" : "");
  return found;
}

// Records of one file: labels, then the image's red, green and blue planes.
void read_records(const Source& s, const std::string& path, std::int64_t label_at, std::int64_t most,
                  std::vector<std::uint8_t>& images, std::vector<std::int64_t>& labels) {
  const std::int64_t record = s.labels + pixels;
  const std::int64_t classes = s.labels == 1 ? 10 : label_at == 0 ? 20 : 100;
  io::InputFile f(s.function, path);
  const auto n = static_cast<std::int64_t>(f.size()) / record;
  if (n == 0 || static_cast<std::int64_t>(f.size()) % record != 0)
    fail<IoError>("datasets::", s.function, ": ", path, ": has ", f.size(), " bytes (expected a multiple of ",
                  record, ')');
  std::vector<std::uint8_t> r(static_cast<std::size_t>(record));
  for (std::int64_t i = 0; i < n && static_cast<std::int64_t>(labels.size()) < most; ++i) {
    f.read_all(r.data(), r.size());
    const std::int64_t label = r[static_cast<std::size_t>(label_at)];
    if (label >= classes)
      fail<IoError>("datasets::", s.function, ": ", path, ": label ", i, " is ", label, " (expected 0 to ",
                    classes - 1, ')');
    labels.push_back(label);
    images.insert(images.end(), r.begin() + s.labels, r.end());
  }
}

std::pair<Tensor, Tensor> read_part(const Source& s, const std::string& folder,
                                    const std::vector<const char*>& files, std::int64_t label_at,
                                    std::int64_t limit) {
  std::vector<std::uint8_t> images;
  std::vector<std::int64_t> labels;
  for (const char* f : files)
    read_records(s, text(folder, '/', f), label_at, limit > 0 ? limit : INT64_MAX, images, labels);
  const auto n = static_cast<std::int64_t>(labels.size());
  Tensor x = Tensor::make({n, 3, 32, 32}, default_dtype() == f64 ? f64 : f32, cpu);
  if (x.dtype() == f64)
    std::transform(images.begin(), images.end(), x.data<double>(), [](std::uint8_t v) { return v / 255.0; });
  else
    std::transform(images.begin(), images.end(), x.data<float>(),
                   [](std::uint8_t v) { return static_cast<float>(v) / 255.0f; });
  return {x.to(default_dtype()).to(default_device()), Tensor(labels).to(default_device())};
}

Cifar load(const Source& s, const std::string& folder, std::int64_t limit, std::int64_t label_at) {
  if (limit == 0)
    fail<ValueError>("datasets::", s.function, ": limit 0 (expected a number of images, or -1 for all)");
  const std::string found = locate(s, folder);
  auto [xtrn, ytrn] = read_part(s, found, s.train, label_at, limit);
  auto [xtst, ytst] = read_part(s, found, s.test, label_at, limit);
  return {xtrn, ytrn, xtst, ytst};
}

}  // namespace

Cifar cifar10(const std::string& folder, std::int64_t limit) { return load(ten(), folder, limit, 0); }

Cifar cifar100(const std::string& folder, std::int64_t limit, CifarLabels which) {
  return load(hundred(), folder, limit, which == CifarLabels::fine ? 1 : 0);
}

}  // namespace knet::datasets
