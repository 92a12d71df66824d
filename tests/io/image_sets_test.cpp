// CIFAR from small files of its form, and folders of images.
#include <thread>

#include "io_test.hpp"
#include "knet/data/cifar.hpp"
#include "knet/data/image_folder.hpp"
#include "knet/io/jpeg.hpp"
#include "knet/io/png.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;

namespace {

class ImageSets : public Folder {
 protected:
  ImageSets() {
    for (const auto& [name, value] : {std::pair{"KNET_DATA", path("data")},
                                      {"XDG_CACHE_HOME", path("cache")},
                                      {"KNET_OFFLINE", std::string("1")}}) {
      const char* v = std::getenv(name);
      old_.emplace_back(name, v ? v : "");
      setenv(name, value.c_str(), 1);
    }
  }
  ~ImageSets() override {
    for (const auto& [name, value] : old_) {
      if (value.empty())
        unsetenv(name.c_str());
      else
        setenv(name.c_str(), value.c_str(), 1);
    }
  }
  // n records: labels first, first + 1, ..., red all i, green all i + 1, blue all i + 2.
  static std::string records(int n, int first, bool coarse) {
    std::string s;
    for (int i = 0; i < n; ++i) {
      if (coarse) s += static_cast<char>((first + i) / 5);
      s += static_cast<char>(first + i);
      for (int c = 0; c < 3; ++c) s += std::string(1024, static_cast<char>(i + c));
    }
    return s;
  }
  void ten(const std::string& folder_name) {
    std::filesystem::create_directories(path(folder_name));
    for (int i = 0; i < 5; ++i)
      write(path(folder_name + "/data_batch_" + std::to_string(i + 1) + ".bin"), records(2, i, false));
    write(path(folder_name + "/test_batch.bin"), records(3, 7, false));
  }

 private:
  std::vector<std::pair<std::string, std::string>> old_;
};

TEST_F(ImageSets, Cifar10) {
  ten("c");
  const auto [xtrn, ytrn, xtst, ytst] = datasets::cifar10(path("c"));
  EXPECT_EQ(xtrn.shape(), (Shape{10, 3, 32, 32}));
  EXPECT_EQ(xtst.shape(), (Shape{3, 3, 32, 32}));
  EXPECT_EQ(ytrn.to_vector<int>(), (std::vector<int>{0, 1, 1, 2, 2, 3, 3, 4, 4, 5}));
  EXPECT_EQ(ytst.to_vector<int>(), (std::vector<int>{7, 8, 9}));
  EXPECT_EQ(ytst.dtype(), i64);
  EXPECT_EQ(xtst(2, 1, 31, 31).item<float>(), 3.0f / 255.0f);
  EXPECT_EQ(datasets::cifar10(path("c"), 3).xtrn.size(0), 3);
  EXPECT_THROW(datasets::cifar10(path("c"), 0), ValueError);
}

TEST_F(ImageSets, CifarIsFound) {
  const std::string e = error_of([] { datasets::cifar10(); });
  EXPECT_TRUE(has(e, path("data/cifar-10") + ": no data_batch_1.bin"));
  EXPECT_TRUE(has(e, path("cache/knetlayers/cifar-10")));
  EXPECT_TRUE(has(e, "KNET_OFFLINE"));
  ten("cache/knetlayers/cifar-10/cifar-10-batches-bin");
  EXPECT_EQ(datasets::cifar10().ytrn.size(0), 10);
  ten("data/cifar-10");
  std::filesystem::remove_all(path("cache"));
  EXPECT_EQ(datasets::cifar10().ytrn.size(0), 10);
}

TEST_F(ImageSets, Cifar100) {
  std::filesystem::create_directories(path("c/cifar-100-binary"));
  write(path("c/cifar-100-binary/train.bin"), records(4, 96, true));
  write(path("c/cifar-100-binary/test.bin"), records(2, 4, true));
  EXPECT_EQ(datasets::cifar100(path("c")).ytrn.to_vector<int>(), (std::vector<int>{96, 97, 98, 99}));
  const auto coarse = datasets::cifar100(path("c"), -1, datasets::CifarLabels::coarse);
  EXPECT_EQ(coarse.ytst.to_vector<int>(), (std::vector<int>{0, 1}));
  EXPECT_EQ(coarse.xtrn(3, 2, 0, 0).item<float>(), 5.0f / 255.0f);
}

TEST_F(ImageSets, DamagedCifar) {
  ten("c");
  write(path("c/data_batch_2.bin"), records(2, 9, false));
  EXPECT_TRUE(has(error_of([&] { datasets::cifar10(path("c")); }), "data_batch_2.bin: label 1 is 10"));
  write(path("c/data_batch_2.bin"), records(2, 0, false).substr(1));
  EXPECT_TRUE(has(error_of([&] { datasets::cifar10(path("c")); }), "multiple of 3073"));
  write(path("c/data_batch_2.bin"), std::string());
  EXPECT_THROW(datasets::cifar10(path("c")), IoError);
  std::filesystem::remove(path("c/data_batch_2.bin"));
  EXPECT_TRUE(has(error_of([&] { datasets::cifar10(path("c")); }), "not found"));
}

TEST_F(ImageSets, Folders) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  for (const char* d : {"r/dog", "r/cat/more", "r/.hidden"}) std::filesystem::create_directories(path(d));
  io::save_png(path("r/dog/b.png"), full({3, 4, 5}, 30, u8));
  io::save_png(path("r/cat/z.PNG"), full({1, 6, 3}, 20, u8));
  io::save_png(path("r/cat/more/a.png"), full({3, 2, 2}, 10, u8));
  write(path("r/cat/notes.txt"), std::string("no image"));
  write(path("r/cat/._z.png"), std::string("no image"));
  write(path("r/dog/c.jpg"), std::string("damaged"));
  const datasets::ImageFolder f(path("r"));
  EXPECT_EQ(f.classes(), (std::vector<std::string>{"cat", "dog"}));
  ASSERT_EQ(f.size(), 4u);
  EXPECT_EQ(f.path(0), path("r/cat/more/a.png"));
  const auto [x, y] = f[1];
  EXPECT_EQ(x.shape(), (Shape{3, 6, 3}));
  EXPECT_EQ(x.max().item(), 20);
  EXPECT_EQ(y, 0);
  EXPECT_EQ(f[2].second, 1);
  EXPECT_EQ(f.label(3), 1);
  EXPECT_TRUE(has(error_of([&] { f[3]; }), "c.jpg"));
  EXPECT_THROW(f[4], ValueError);
}

TEST_F(ImageSets, RandomTransformsAreAFunctionOfSeedPassAndPlace) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  std::filesystem::create_directories(path("r/a"));
  for (int i = 0; i < 4; ++i)
    io::save_png(path("r/a/" + std::to_string(i) + ".png"), randint(0, 256, {3, 20, 20}).to(u8));
  datasets::ImageFolder f(
      path("r"), {.transform = {transforms::RandomResizedCrop{.height = 8, .width = 8}, transforms::to_float},
                  .seed = 3});
  std::vector<Tensor> alone, together(4);
  for (std::size_t i = 0; i < 4; ++i) alone.push_back(f[i].first);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { together[3 - i] = f[3 - i].first; });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(equal(alone[i], together[i]));
  f.set_pass(1);
  EXPECT_FALSE(equal(alone[0], f[0].first));
}

TEST_F(ImageSets, FoldersThatAreNone) {
  EXPECT_TRUE(has(error_of([&] { datasets::ImageFolder(path("no")); }), "No such file"));
  EXPECT_TRUE(has(error_of([&] { datasets::ImageFolder f(folder); }), "has no folders"));
  std::filesystem::create_directories(path("empty"));
  EXPECT_TRUE(has(error_of([&] { datasets::ImageFolder f(folder); }), "has no .png"));
}

}  // namespace
