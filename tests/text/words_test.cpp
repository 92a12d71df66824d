#include <gtest/gtest.h>

#include "knet/knet.hpp"

namespace {
using namespace knet;
using Words = std::vector<std::string>;

TEST(Words, BetweenBlanks) {
  EXPECT_EQ(WhitespaceTokenizer{}("  a b,\tc\u3000d\n"), (Words{"a", "b,", "c", "d"}));
  EXPECT_EQ(WhitespaceTokenizer{}(""), Words{});
  EXPECT_EQ(WhitespaceTokenizer{LetterCase::lower_turkish}("IĞDIR İzmir"), (Words{"ığdır", "izmir"}));
}
TEST(Words, AndPunctuation) {
  EXPECT_EQ(WordTokenizer{}("don't!! cafe\u0301_1 "), (Words{"don", "'", "t", "!!", "cafe\u0301_1"}));
  EXPECT_EQ((WordTokenizer{.single_punctuation = true}("a!!b")), (Words{"a", "!", "!", "b"}));
  EXPECT_EQ((WordTokenizer{.letters = LetterCase::lower}("Ünlü: İ")), (Words{"ünlü", ":", "i\u0307"}));
  EXPECT_EQ(WordTokenizer{}("a\xFF\xFE"
                            "b"),
            (Words{"a", "\xFF\xFE", "b"}));
}
TEST(Words, Characters) {
  const std::string s = "aé 中😀\xFF\xC3";
  const Words c = CharTokenizer{}(s);
  EXPECT_EQ(c, (Words{"a", "é", " ", "中", "😀", "\xFF", "\xC3"}));
  std::string joined;
  for (auto& x : c) joined += x;
  EXPECT_EQ(joined, s);
  EXPECT_EQ(CharTokenizer{LetterCase::lower_turkish}("Iİ"), (Words{"ı", "i"}));
}
}  // namespace
