#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "knet/knet.hpp"

namespace {
using namespace knet;
using unicode::Form;
using unicode::Language;

TEST(Unicode, DecodesAndRefuses) {
  const auto value = [](std::string_view s) {
    const auto d = unicode::decode(s, 0);
    return d.valid ? static_cast<std::int64_t>(d.value) : -1;
  };
  EXPECT_EQ(value("a"), 'a');
  EXPECT_EQ(value("\xC3\xA9"), 0xE9);
  EXPECT_EQ(value("\xE2\x82\xAC"), 0x20AC);
  EXPECT_EQ(value("\xF0\x9F\x98\x80"), 0x1F600);
  EXPECT_EQ(value("\xF4\x8F\xBF\xBF"), 0x10FFFF);
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(value(bad), -1);
    EXPECT_EQ(unicode::decode(bad, 0).bytes, 1);
    EXPECT_FALSE(unicode::is_utf8(bad));
  }
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string s;
    unicode::append(s, c);
    const auto d = unicode::decode(s, 0);
    ASSERT_TRUE(d.valid && d.value == c && d.bytes == s.size());
    ASSERT_EQ(unicode::previous("x" + s, s.size() + 1), 1u);
  }
}

TEST(Unicode, Kinds) {
  using namespace unicode;
  EXPECT_EQ(kinds(U'a'), letter | word);
  EXPECT_EQ(kinds(U'ı'), letter | word);
  EXPECT_EQ(kinds(U'7'), number | word);
  EXPECT_EQ(kinds(U'½'), number);
  EXPECT_EQ(kinds(U'\n'), space | control);
  EXPECT_EQ(kinds(U'\u3000'), space);
  EXPECT_EQ(kinds(U'_'), punctuation | word);
  EXPECT_EQ(kinds(U'$'), 0);
  EXPECT_EQ(kinds(U'。'), punctuation);
  EXPECT_EQ(kinds(U'\u0301'), mark | any_mark | word);
  EXPECT_EQ(kinds(U'\u200b'), control);
  EXPECT_EQ(kinds(U'😀'), 0);
}

TEST(Unicode, LowersByTheRulesOfTheLanguage) {
  EXPECT_EQ(unicode::lower("IŞIK İZMİR Ağ ÇÖĞÜ"), "işik i\u0307zmi\u0307r ağ çöğü");
  EXPECT_EQ(unicode::lower("IŞIK İZMİR Ağ ÇÖĞÜ", Language::turkish), "ışık izmir ağ çöğü");
  EXPECT_EQ(unicode::lower("I\u0307stanbul I\u0323", Language::turkish), "istanbul ı\u0323");
  EXPECT_EQ(unicode::lower("ÆRØ ΣΑΣ ДА ẞ"), "ærø σασ да ß");
  EXPECT_EQ(unicode::lower("A\xFF\xC3Z"), "a\xFF\xC3z");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(unicode::normalize("Cafe\u0301 \u212B", Form::nfc), "Café Å");
  EXPECT_EQ(unicode::normalize("Café가", Form::nfd), "Cafe\u0301\u1100\u1161");
  EXPECT_EQ(unicode::normalize("ﬁ①　ｘ", Form::nfkc), "fi1 x");
  EXPECT_EQ(unicode::normalize("Å", Form::nfkd), "A\u030A");
  EXPECT_EQ(unicode::normalize("a\u0301\u0327", Form::nfd), "a\u0327\u0301");
  EXPECT_EQ(unicode::normalize("e\xFF\u0301\xC3", Form::nfc), "e\xFF\u0301\xC3");
  EXPECT_EQ(unicode::normalize("\xFF"
                               "e\u0301",
                               Form::nfc),
            "\xFFé");
}

// Marks of alternating classes cost n log n to order, not n squared.
TEST(Unicode, LongRunsOfMarksAreQuick) {
  std::string s = "a";
  for (int i = 0; i < 200'000; ++i) s += i % 2 ? "\u0327" : "\u0301";
  const auto start = std::chrono::steady_clock::now();
  const auto r = unicode::normalize(s, Form::nfc);
  EXPECT_EQ(r.size(), s.size() - 1);  // a and the first accent are one
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Unicode, NormalizingTwiceChangesNothing) {
  std::mt19937 random(7);
  const char32_t pool[] = {'a',    'I',    0x301,  0x327,  0x308, 0xE9,   0x1100,
                           0x1161, 0xAC00, 0xFB01, 0x212B, 0x130, 0x4E2D, 0x1F600};
  for (int n = 0; n < 500; ++n) {
    std::string s;
    for (auto i = random() % 12; i-- > 0;) {
      if (random() % 8 == 0)
        s += static_cast<char>(random());
      else
        unicode::append(s, pool[random() % std::size(pool)]);
    }
    for (const Form f : {Form::nfc, Form::nfd, Form::nfkc, Form::nfkd}) {
      const auto once = unicode::normalize(s, f);
      EXPECT_EQ(unicode::normalize(once, f), once);
    }
    EXPECT_EQ(unicode::normalize(unicode::normalize(s, Form::nfd), Form::nfc),
              unicode::normalize(s, Form::nfc));
  }
}
}  // namespace
