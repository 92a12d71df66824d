#include "knet/data/datasets.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/download.hpp"
#include "knet/io/gzip.hpp"
#include "knet/io/idx.hpp"
#include "knet/io/sha256.hpp"

namespace knet::datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t side = 28, classes = 10;

// The four files: images and labels to train with, images and labels to test with.
using Paths = std::array<std::string, 4>;
constexpr std::array<const char*, 4> stems = {"train-images", "train-labels", "t10k-images", "t10k-labels"};
constexpr std::array<const char*, 4> endings = {"idx3-ubyte", "idx1-ubyte", "idx3-ubyte", "idx1-ubyte"};
constexpr std::array<std::uint64_t, 4> sizes = {16 + 60000 * 784, 8 + 60000, 16 + 10000 * 784, 8 + 10000};

struct Source {
  const char* function;
  const char* name;
  const char* advice;
  std::array<const char*, 2> mirrors;  // null: no more
  std::array<const char*, 4> sha256;  // of the unfolded files: the compressed ones differ from place to place
};

constexpr Source digits = {
    "mnist",
    "mnist",
    "put the four files of MNIST there",
    {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"},
    {"ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
     "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
     "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
     "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}};

constexpr Source fashion = {
    "fashion_mnist",
    "fashion-mnist",
    "apt install dataset-fashion-mnist, or put its four files there",
    {"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/", nullptr},
    {"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
     "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
     "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
     "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}};

// "" unless the variable is set and not empty.
std::string variable(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

std::string find_file(const std::string& folder, std::size_t i) {
  for (const char* dot : {"-", "."}) {
    for (const char* packed : {"", ".gz"}) {
      std::string path = text(folder, '/', stems[i], dot, endings[i], packed);
      std::error_code error;
      if (fs::is_regular_file(path, error)) return path;
    }
  }
  return "";
}

// The four files of a folder, or nothing and a line about what is missing.
std::optional<Paths> find(const std::string& folder, std::string& looked) {
  Paths p;
  std::string missing;
  int found = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    p[i] = find_file(folder, i);
    if (!p[i].empty())
      ++found;
    else if (missing.empty())
      missing = text(stems[i], '-', endings[i]);
  }
  if (found == 4) return p;
  looked += text("\n  ", folder, ": no ", missing, "(.gz)");
  return {};
}

// $KNET_DATA itself does not say which data set lies in it, and both look alike.
bool is_other(const Source& s, const Paths& p) {
  const Source& other = &s == &digits ? fashion : digits;
  return io::sha256(io::ByteStream("datasets", p[3]).read_rest(sizes[3] + 1)) == other.sha256[3];
}

std::optional<Paths> search(const Source& s, std::string& looked) {
  if (const std::string data = variable("KNET_DATA"); !data.empty()) {
    if (auto p = find(text(data, '/', s.name), looked)) return p;
    if (auto p = find(data, looked)) {
      if (!is_other(s, *p)) return p;
      looked += text("\n  ", data, ": holds another data set");
    }
  }
  if (auto p = find(text("/usr/share/datasets/", s.name), looked)) return p;
  if (const std::string cache = io::cache_folder(s.name); !cache.empty()) return find(cache, looked);
  return {};
}

void fetch_one(const Source& s, std::size_t i, const std::string& folder) {
  std::string problems;
  for (const char* mirror : s.mirrors) {
    if (!mirror) continue;
    const std::string url = text(mirror, stems[i], '-', endings[i], ".gz");
    try {
      const auto packed = io::download(url, sizes[i]);
      if (const auto sum = io::sha256(io::gunzip(packed, sizes[i], url)); sum != s.sha256[i]) {
        fail<IoError>(url, ": SHA-256 of the unfolded file is ", sum, " (expected ", s.sha256[i], ")");
      }
      io::write_file(text(folder, '/', stems[i], '-', endings[i], ".gz"), packed);
      return;
    } catch (const IoError& e) {
      problems += text("\n  ", e.what());
    }
  }
  fail<IoError>(problems);
}

std::optional<Paths> fetch(const Source& s, std::string& looked) {
  const std::string folder = io::cache_folder(s.name);
  if (folder.empty()) return {};
  if (io::offline()) {
    looked += "\n  no download: KNET_OFFLINE is set";
    return {};
  }
  if (!io::can_download()) {
    looked += "\n  no download: the library was built without libcurl";
    return {};
  }
  std::error_code error;
  fs::create_directories(folder, error);
  try {
    for (std::size_t i = 0; i < 4; ++i) {
      if (find_file(folder, i).empty()) fetch_one(s, i, folder);
    }
  } catch (const IoError& e) {
    looked += e.what();
    return {};
  }
  std::string ignored;
  return find(folder, ignored);
}

Paths locate(const Source& s, const std::string& folder) {
  std::string looked;
  std::optional<Paths> p;
  if (!folder.empty()) {
    p = find(folder, looked);
  } else {
    p = search(s, looked);
    if (!p) p = fetch(s, looked);
  }
  if (!p) {
    fail<IoError>("datasets::", s.function, ": not found; looked in:", looked, "\n", s.advice,
                  folder.empty() ? ", or set KNET_DATA to their folder" : "");
  }
  return *p;
}

// The elements of an IDX file of unsigned bytes [n, size...].
Tensor read_bytes(const Source& s, const std::string& path, std::initializer_list<std::int64_t> size) {
  Tensor t = io::read_idx(path);
  Shape expected{t.ndim() > 0 ? t.size(0) : 1};
  for (auto v : size) expected.push(v);
  if (t.dtype() != u8 || t.shape() != expected || t.numel() == 0) {
    fail<IoError>("datasets::", s.function, ": ", path, ": is ", t.dtype(), ' ', t.shape(), " (expected u8 ",
                  size.size() ? "[n, 28, 28]" : "[n]", ", n > 0)");
  }
  return t;
}

void check_labels(const Source& s, const std::string& path, const Tensor& labels, std::int64_t images) {
  if (labels.size(0) != images) {
    fail<IoError>("datasets::", s.function, ": ", path, ": has ", labels.size(0), " labels for ", images,
                  " images");
  }
  const auto y = labels.span<std::uint8_t>();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] >= classes) {
      fail<IoError>("datasets::", s.function, ": ", path, ": label ", i, " is ", int{y[i]},
                    " (expected 0 to ", classes - 1, ')');
    }
  }
}

// One part: images and labels, as many as asked for.
std::pair<Tensor, Tensor> read_part(const Source& s, const std::string& images, const std::string& labels,
                                    std::int64_t limit, DType xtype) {
  Tensor pixels = read_bytes(s, images, {side, side});
  const Tensor ids = read_bytes(s, labels, {});
  check_labels(s, labels, ids, pixels.size(0));
  const std::int64_t n = limit > 0 ? std::min(limit, pixels.size(0)) : pixels.size(0);
  Tensor x = pixels.narrow(0, 0, n).unsqueeze(1).to(xtype);
  if (xtype != u8) x /= 255;
  Tensor y = Tensor::make({n}, i64, cpu);
  std::copy_n(ids.data<std::uint8_t>(), n, y.data<std::int64_t>());
  return {x.to(default_device()), y.to(default_device())};
}

Mnist load(const Source& s, const std::string& folder, std::int64_t limit, DType xtype) {
  if (limit == 0)
    fail<ValueError>("datasets::", s.function, ": limit 0 (expected a number of images, or -1 for all)");
  if (xtype != f32 && xtype != f64 && xtype != u8)
    fail<ValueError>("datasets::", s.function, ": images of ", xtype, " (expected f32, f64 or u8)");
  const Paths p = locate(s, folder);
  auto [xtrn, ytrn] = read_part(s, p[0], p[1], limit, xtype);
  auto [xtst, ytst] = read_part(s, p[2], p[3], limit, xtype);
  return {xtrn, ytrn, xtst, ytst};
}

}  // namespace

Mnist mnist(const std::string& folder, std::int64_t limit, DType xtype) {
  return load(digits, folder, limit, xtype);
}

Mnist fashion_mnist(const std::string& folder, std::int64_t limit, DType xtype) {
  return load(fashion, folder, limit, xtype);
}

}  // namespace knet::datasets
