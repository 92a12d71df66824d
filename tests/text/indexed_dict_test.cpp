#include <gtest/gtest.h>

#include <map>

#include "knet/knet.hpp"

namespace {
using namespace knet;

TEST(IndexedDict, BothDirections) {
  IndexedDict<std::string> d;
  std::istringstream sentence("this is an example data with example words");
  for (std::string w; sentence >> w;) d.push_back(w);
  EXPECT_EQ(d.size(), 7u);
  EXPECT_EQ(d["example"], 3);
  EXPECT_EQ(d[3], "example");
  EXPECT_EQ(d.push_back("a-new-word"), 7);
  EXPECT_EQ(d.push_back("this"), 0);
  EXPECT_EQ(d.size(), 8u);
  EXPECT_EQ(d.ids({"data", "is"}), (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(d.elements({7, 0}), (std::vector<std::string>{"a-new-word", "this"}));
  EXPECT_EQ(d.get("nothing", -5), -5);
  EXPECT_EQ(d.get("is", -5), 1);
  EXPECT_TRUE(d.contains("is"));
  EXPECT_FALSE(d.contains("nothing"));
  IndexedDict<std::string> more{"is", "fresh"};
  d.append(more);
  EXPECT_EQ(d.size(), 9u);
  EXPECT_EQ(d["fresh"], 8);
}
TEST(IndexedDict, OfLettersAndMaps) {
  IndexedDict<char> letters{'b', 'a', 'b'};
  EXPECT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters.id('a'), 1);
  EXPECT_EQ(letters.element(0), 'b');
  const IndexedDict<std::string> d(std::map<std::string, std::int64_t>{{"x", 1}, {"y", 0}});
  EXPECT_EQ(d[0], "y");
  EXPECT_THROW(IndexedDict<std::string>(std::map<std::string, std::int64_t>{{"x", 1}, {"y", 1}}), ValueError);
  EXPECT_THROW(IndexedDict<std::string>(std::map<std::string, std::int64_t>{{"x", 1}, {"y", 2}}), ValueError);
}
TEST(IndexedDict, NamesWhatIsMissing) {
  const IndexedDict<std::string> d{"a"};
  const auto message = [](const auto& f) -> std::string {
    try {
      f();
    } catch (const ValueError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message([&] { static_cast<void>(d["word"]); }).find("word"), std::string::npos);
  EXPECT_NE(message([&] { static_cast<void>(d[1]); }).find("1"), std::string::npos);
  EXPECT_NE(message([&] { static_cast<void>(d[-1]); }).find("-1"), std::string::npos);
}
TEST(OneHot, AnyDimensionAndIgnoredIds) {
  EXPECT_TRUE(equal(one_hot(Tensor{1, 0, -1}, 2), Tensor{{0., 1.}, {1., 0.}, {0., 0.}}));
  EXPECT_TRUE(equal(one_hot(Tensor{0, 0, 0}, 5, f32, 0)(0), ones({3})));
  const Tensor ids = randint(0, 4, {2, 3});
  EXPECT_TRUE(equal(one_hot(ids, 4, f32, 1), one_hot(ids, 4).permute({0, 2, 1})));
  EXPECT_THROW(one_hot(ids, 3, f32, 4), Error);
  EXPECT_THROW(one_hot(Tensor{4}, 4), ValueError);
}
}  // namespace
