// The data sets by name: where they are looked for, what is checked, and the real files where they are
// installed.
#include "knet/data/datasets.hpp"

#include <algorithm>
#include <optional>

#include "io_test.hpp"
#include "knet/data/minibatch.hpp"
#include "knet/io/gzip.hpp"
#include "knet/io/sha256.hpp"
#include "knet/ops/reduce.hpp"

using namespace io_test;
using namespace knet;

namespace {

// Sets an environment variable for one test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* v = std::getenv(name)) old_ = v;
    setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

std::string big_endian(std::size_t v) {
  return {static_cast<char>(v >> 24 & 255), static_cast<char>(v >> 16 & 255), static_cast<char>(v >> 8 & 255),
          static_cast<char>(v & 255)};
}
// Image i is all i; label i is i % 10.
std::string images(std::size_t n, std::size_t side = 28) {
  std::string f = hex("00000803") + big_endian(n) + big_endian(side) + big_endian(side);
  for (std::size_t i = 0; i < n; ++i) f += std::string(side * side, static_cast<char>(i));
  return f;
}
std::string labels(std::size_t n) {
  std::string f = hex("00000801") + big_endian(n);
  for (std::size_t i = 0; i < n; ++i) f += static_cast<char>(i % 10);
  return f;
}

class Datasets : public Folder {
 protected:
  Datasets()
      : data_("KNET_DATA", folder + "/data"),
        cache_("XDG_CACHE_HOME", folder + "/cache"),
        offline_("KNET_OFFLINE", "1") {}
  // A small data set in a folder below the test's own.
  std::string small(const std::string& name, std::size_t train = 20, std::size_t test = 12) {
    std::filesystem::create_directories(path(name));
    write(path(name + "/train-images-idx3-ubyte"), images(train));
    write(path(name + "/train-labels-idx1-ubyte"), labels(train));
    write(path(name + "/t10k-images-idx3-ubyte"), images(test));
    write(path(name + "/t10k-labels-idx1-ubyte"), labels(test));
    return path(name);
  }
  void replace(const std::string& name, const std::string& contents) { write(path("s/" + name), contents); }

 private:
  Variable data_, cache_, offline_;
};

TEST_F(Datasets, ShapesAndValues) {
  const auto [xtrn, ytrn, xtst, ytst] = datasets::mnist(small("s"));
  EXPECT_EQ(xtrn.shape(), (Shape{20, 1, 28, 28}));
  EXPECT_EQ(ytrn.shape(), (Shape{20}));
  EXPECT_EQ(xtst.shape(), (Shape{12, 1, 28, 28}));
  EXPECT_EQ(ytst.shape(), (Shape{12}));
  EXPECT_EQ(xtrn.dtype(), f32);
  EXPECT_EQ(ytrn.dtype(), i64);
  EXPECT_EQ(xtrn.data<float>()[19 * 784 + 783], 19.0f / 255.0f);
  EXPECT_EQ(ytst.data<std::int64_t>()[11], 1);
}

TEST_F(Datasets, BytesAsTheyAre) {
  const std::string s = small("s");
  const auto floats = datasets::mnist(s), bytes = datasets::mnist(s, 15, u8);
  EXPECT_EQ(bytes.xtrn.dtype(), u8);
  EXPECT_EQ(bytes.xtrn.shape(), (Shape{15, 1, 28, 28}));
  EXPECT_EQ(bytes.xtrn.data<std::uint8_t>()[14 * 784 + 783], 14);
  EXPECT_EQ(datasets::fashion_mnist(s, -1, f64).xtst.dtype(), f64);
  const auto expected = minibatch(floats.xtst, floats.ytst, 5, {.shuffle = true, .seed = 2});
  auto i = expected.begin();
  for (const auto& [x, y] :
       minibatch(bytes.xtst, bytes.ytst, 5, {.shuffle = true, .seed = 2, .xtype = f32, .divisor = 255})) {
    EXPECT_TRUE(equal(x, (*i).x));
    EXPECT_TRUE(equal(y, (*i).y));
    ++i;
  }
  EXPECT_THROW(datasets::mnist(s, -1, i64), ValueError);
}

TEST_F(Datasets, FollowsTheDefaultDtype) {
  const std::string s = small("s");
  set_default(f64);
  const auto m = datasets::mnist(s, 2);
  set_default(f32);
  EXPECT_EQ(m.xtrn.dtype(), f64);
  EXPECT_EQ(m.xtrn.data<double>()[784], 1.0 / 255.0);
}

TEST_F(Datasets, Limit) {
  const std::string s = small("s");
  const auto m = datasets::mnist(s, 15);
  EXPECT_EQ(m.xtrn.size(0), 15);
  EXPECT_EQ(m.ytrn.size(0), 15);
  EXPECT_EQ(m.xtst.size(0), 12);
  EXPECT_EQ(m.ytst.size(0), 12);
  EXPECT_EQ(datasets::mnist(s, 1000).xtrn.size(0), 20);
  EXPECT_THROW(datasets::mnist(s, 0), ValueError);
}

TEST_F(Datasets, NamesWithDotsAndCompression) {
  small("s");
  for (const char* name : {"train-images", "t10k-images"}) {
    std::filesystem::rename(path(std::string("s/") + name + "-idx3-ubyte"),
                            path(std::string("s/") + name + ".idx3-ubyte"));
  }
  const auto packed = io::gzip(bytes(labels(20)));
  std::filesystem::remove(path("s/train-labels-idx1-ubyte"));
  write(path("s/train-labels-idx1-ubyte.gz"), packed);
  EXPECT_EQ(datasets::mnist(path("s")).ytrn.data<std::int64_t>()[19], 9);
  std::filesystem::rename(path("s/train-labels-idx1-ubyte.gz"), path("s/train-labels.idx1-ubyte.gz"));
  EXPECT_EQ(datasets::fashion_mnist(path("s")).ytrn.size(0), 20);
}

TEST_F(Datasets, SearchOrder) {
  small("cache/knetlayers/mnist", 3);
  EXPECT_EQ(datasets::mnist().xtrn.size(0), 3);
  small("data", 4);
  EXPECT_EQ(datasets::mnist().xtrn.size(0), 4);
  small("data/mnist", 5);
  EXPECT_EQ(datasets::mnist().xtrn.size(0), 5);
  small("data/fashion-mnist", 6);
  EXPECT_EQ(datasets::fashion_mnist().xtrn.size(0), 6);
  EXPECT_EQ(datasets::mnist(small("given", 7)).xtrn.size(0), 7);
  // A folder that was given is the only one.
  EXPECT_TRUE(
      has(error_of([&] { datasets::mnist(path("empty")); }), path("empty") + ": no train-images-idx3-ubyte"));
}

TEST_F(Datasets, NotFoundSaysWhereAndWhat) {
  small("data/mnist");
  std::filesystem::remove(path("data/mnist/t10k-labels-idx1-ubyte"));
  const std::string e = error_of([] { datasets::mnist(); });
  for (const std::string& part :
       {std::string("datasets::mnist: not found"), path("data/mnist") + ": no t10k-labels-idx1-ubyte",
        path("data") + ": no ", path("cache/knetlayers/mnist"), std::string("no download"),
        std::string("KNET_DATA")}) {
    EXPECT_TRUE(has(e, part));
  }
  EXPECT_TRUE(
      has(error_of([&] { datasets::fashion_mnist(path("x")); }), "apt install dataset-fashion-mnist"));
}

TEST_F(Datasets, FilesThatDoNotBelongTogether) {
  const std::string s = small("s");
  const auto error = [&] { return error_of([&] { datasets::mnist(s, 5); }); };
  replace("train-labels-idx1-ubyte", labels(21));
  EXPECT_TRUE(has(error(), "train-labels-idx1-ubyte: has 21 labels for 20 images"));
  replace("train-labels-idx1-ubyte", labels(19) + '\x0a');
  EXPECT_TRUE(has(error(), "train-labels-idx1-ubyte: has 20 bytes"));
  std::string bad = labels(20);
  bad.back() = 10;
  replace("train-labels-idx1-ubyte", bad);
  EXPECT_TRUE(has(error(), "label 19 is 10 (expected 0 to 9)"));
  replace("train-labels-idx1-ubyte", images(20));
  EXPECT_TRUE(has(error(), "is u8 [20, 28, 28] (expected u8 [n]"));
  small("s");
  replace("t10k-images-idx3-ubyte", images(12, 27));
  EXPECT_TRUE(has(error(), "is u8 [12, 27, 27] (expected u8 [n, 28, 28]"));
  replace("t10k-images-idx3-ubyte", labels(12));
  EXPECT_TRUE(has(error(), "is u8 [12]"));
  replace("t10k-images-idx3-ubyte", images(0));
  EXPECT_TRUE(has(error(), "is u8 [0, 28, 28]"));
  replace("t10k-images-idx3-ubyte", images(12).substr(0, 5000));
  EXPECT_TRUE(has(error(), "t10k-images-idx3-ubyte: has 4984 bytes"));
}

// ---- the real ones ----

std::string real_mnist() {
  const char* data = std::getenv("KNET_DATA");
  for (const std::string& f :
       {data ? std::string(data) + "/mnist" : std::string(), root() + "/../shared/data/mnist"}) {
    if (!f.empty() && std::filesystem::exists(f + "/train-images-idx3-ubyte.gz")) return f;
  }
  return "";
}
const std::string package = "/usr/share/datasets/fashion-mnist";

void expect_whole(const datasets::Mnist& m) {
  EXPECT_EQ(m.xtrn.shape(), (Shape{60000, 1, 28, 28}));
  EXPECT_EQ(m.ytrn.shape(), (Shape{60000}));
  EXPECT_EQ(m.xtst.shape(), (Shape{10000, 1, 28, 28}));
  EXPECT_EQ(m.ytst.shape(), (Shape{10000}));
  const auto x = m.xtrn.span<float>();
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  EXPECT_EQ(*low, 0.0f);
  EXPECT_EQ(*high, 1.0f);
}
void expect_sums(const std::string& folder, const std::vector<std::string>& sums) {
  const char* names[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(io::sha256(io::read_file(folder + "/" + names[i], 1 << 26)), sums[i]) << names[i];
  }
}

TEST(RealData, Mnist) {
  const std::string folder = real_mnist();
  if (folder.empty()) GTEST_SKIP() << "no MNIST in $KNET_DATA/mnist or ../shared/data/mnist";
  const auto m = datasets::mnist(folder);
  expect_whole(m);
  const auto y = m.ytrn.span<std::int64_t>();
  EXPECT_EQ((std::vector<std::int64_t>(y.begin(), y.begin() + 5)),
            (std::vector<std::int64_t>{5, 0, 4, 1, 9}));
  expect_sums(folder, {"ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                       "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                       "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                       "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"});
}

TEST(RealData, FashionMnist) {
  if (!std::filesystem::exists(package)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto m = datasets::fashion_mnist(package);
  expect_whole(m);
  const auto y = m.ytrn.span<std::int64_t>();
  EXPECT_EQ((std::vector<std::int64_t>(y.begin(), y.begin() + 5)),
            (std::vector<std::int64_t>{9, 0, 0, 3, 0}));
  expect_sums(package, {"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"});
}

// $KNET_DATA itself holding digits must not be taken for clothes.
TEST_F(Datasets, OneSetIsNotTakenForTheOther) {
  if (!std::filesystem::exists(package)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  small("cache/knetlayers/mnist", 3);
  const Variable data("KNET_DATA", package);
  EXPECT_EQ(datasets::mnist("", 10).xtrn.size(0), 3);
  EXPECT_EQ(datasets::fashion_mnist("", 10).xtrn.size(0), 10);
}

}  // namespace
