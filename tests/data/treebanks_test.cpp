// CoNLL-U and TrMor: the real files where they are, and small ones of every kind of line.
#include <cstdlib>

#include "knet/knet.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using namespace knet::datasets;
using io_test::error_of;
using io_test::has;
using Texts = std::vector<std::string>;

std::string shared(const std::string& name) {
  const char* v = std::getenv("KNET_DATA");
  return (v ? std::string(v) : std::string(KNET_SOURCE_DIR) + "/../shared/data") + "/" + name;
}

const std::string tricky =
    "# sent_id = 1\n"
    "#text=Vámonos al mar\n"
    "1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
    "1\tVamos\tir\tVERB\t_\tMood=Imp|Number[psor]=Plur\t0\troot\t0:root\t_\n"
    "2\tnos\tnosotros\tPRON\t_\tCase=Acc,Dat\t1\tobj\t1:obj|2.2:x\t_\n"
    "2.1\t_\t_\t_\t_\t_\t_\t_\t1:dep\t_\n"
    "2.2\tal\ta\tADP\tP\t_\t_\t_\t_\tA=1|B\n"
    "3\t_\t_\tSYM\t_\t_\t1\tpunct\t_\t_\n"
    "\n"
    "0.1\tx\tx\t_\t_\t_\t_\t_\t_\t_\n"
    "1\ta b\ta b\tX\t_\t_\t_\t_\t_\t_\n"
    "\n";

TEST(Conllu, EveryKindOfLine) {
  const auto s = parse_conllu(tricky);
  ASSERT_EQ(s.size(), 2u);
  EXPECT_EQ(s[0].comment("sent_id"), "1");
  EXPECT_EQ(s[0].comment("text"), "Vámonos al mar");
  EXPECT_EQ(s[0].comment("none"), "");
  const auto& t = s[0].tokens;
  ASSERT_EQ(t.size(), 6u);
  EXPECT_EQ(t[0].kind, ConlluKind::multiword);
  EXPECT_EQ(t[0].second, 2);
  EXPECT_EQ(t[0].misc, "SpaceAfter=No");
  EXPECT_EQ(t[1].feature("Number[psor]"), "Plur");
  EXPECT_EQ(t[1].feature("Case"), "");
  EXPECT_EQ(t[1].head, 0);
  EXPECT_EQ(t[1].line, 4u);
  EXPECT_EQ(t[4].kind, ConlluKind::empty);
  EXPECT_EQ(t[4].id, 2);
  EXPECT_EQ(t[4].head, -1);
  EXPECT_EQ(t[5].form, "_");
  EXPECT_EQ(t[5].xpos, "");
  ASSERT_EQ(s[0].words().size(), 3u);
  EXPECT_EQ(s[0].words()[1]->lemma, "nosotros");
  EXPECT_EQ(s[1].words()[0]->form, "a b");
  EXPECT_EQ(to_conllu(s), tricky);
  // The last empty line may be missing, and lines may end with \r\n.
  EXPECT_EQ(to_conllu(parse_conllu(tricky.substr(0, tricky.size() - 1))), tricky);
  EXPECT_EQ(to_conllu(parse_conllu("1\ta\ta\t_\t_\t_\t0\troot\t_\t_\r\n\r\n")),
            "1\ta\ta\t_\t_\t_\t0\troot\t_\t_\n\n");
}

TEST(Conllu, ErrorsHaveLines) {
  const auto e = [](const std::string& s) { return error_of([&] { parse_conllu(s, "f"); }); };
  const std::string one = "1\ta\ta\t_\t_\t_\t0\troot\t_\t_\n";
  EXPECT_TRUE(has(e("1\ta\n"), "f: line 1: 2 columns (expected 10)"));
  EXPECT_TRUE(has(e("1\ta\t\t_\t_\t_\t0\troot\t_\t_\n"), "column 3 is empty"));
  EXPECT_TRUE(has(e(one + "3\ta\ta\t_\t_\t_\t0\troot\t_\t_\n"), "f: line 2: id \"3\" behind word 1"));
  for (const char* id : {"", "x", "-1", "1-", "1-1", "2-3", "1.1", "0.2", "+1", "1 ", "99999999999999999999"})
    EXPECT_TRUE(has(e(std::string(id) + one.substr(1)), "line 1")) << id;
  EXPECT_TRUE(has(e("1-3\ta\t_\t_\t_\t_\t_\t_\t_\t_\n" + one + "\n"), "ends at word 3 of 1"));
  EXPECT_TRUE(has(e("1\ta\ta\t_\t_\t_\t2\troot\t_\t_\n\n"), "line 1: head 2 in a sentence of 1"));
  EXPECT_TRUE(has(e("1\ta\ta\t_\t_\t_\tx\troot\t_\t_\n\n"), "head \"x\""));
  EXPECT_TRUE(has(e("1\ta\ta\t_\t_\tCase\t0\troot\t_\t_\n\n"), "feature \"Case\""));
  EXPECT_TRUE(has(e("\n" + one), "line 1: an empty line"));
  EXPECT_TRUE(has(e("# only\n\n"), "without words"));
  EXPECT_TRUE(has(e(one + "# late\n\n"), "line 2: a comment inside"));
}

TEST(Conllu, RealTreebankRoundTrips) {
  const struct {
    const char* part;
    std::size_t sentences, words;
  } parts[] = {{"train", 3435, 0}, {"dev", 1100, 0}, {"test", 1100, 0}};
  for (const auto& p : parts) {
    const std::string file = shared("ud-turkish-imst/tr_imst-ud-" + std::string(p.part) + ".conllu");
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
    const auto s = read_conllu(file);
    EXPECT_EQ(s.size(), p.sentences);
    const std::string text = io_test::read(file);
    EXPECT_TRUE(to_conllu(s) == text);
    // Counted in another way: lines that begin with a number and a tab, with digits and a hyphen.
    std::size_t words = 0, several = 0, counted = 0, counted_several = 0;
    for (const auto& x : s) {
      words += x.words().size();
      for (const auto& t : x.tokens) several += t.kind == ConlluKind::multiword;
    }
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      const std::size_t end = line.find_first_not_of("0123456789");
      if (end == 0 || end == std::string::npos) continue;
      counted += line[end] == '\t';
      counted_several += line[end] == '-';
    }
    EXPECT_EQ(words, counted);
    EXPECT_EQ(several, counted_several);
    EXPECT_GT(several, 0u);
  }
}

class ConlluFiles : public io_test::Folder {};
TEST_F(ConlluFiles, Written) {
  write_conllu(path("a.conllu"), parse_conllu(tricky));
  EXPECT_EQ(io_test::read(path("a.conllu")), tricky);
  EXPECT_EQ(read_conllu(path("a.conllu")).size(), 2u);
}

TEST(Trmor, Analyses) {
  const auto a = parse_trmor_analysis("vade+Noun+A3sg+Pnon+Nom^DB+Adj+With");
  EXPECT_EQ(a.lemma, "vade");
  EXPECT_EQ(a.tags, (Texts{"Noun", "A3sg", "Pnon", "Nom", "^DB", "Adj", "With"}));
  const auto b = parse_trmor_analysis("Hazine+Noun+Prop+A3sg+P2sg+Gen");
  EXPECT_EQ(b.tags, (Texts{"Noun", "A3sg", "P2sg", "Gen"}));
  EXPECT_EQ(b.text, "Hazine+Noun+Prop+A3sg+P2sg+Gen");
  const auto plus = parse_trmor_analysis("++Punct");
  EXPECT_EQ(plus.lemma, "+");
  EXPECT_EQ(plus.tags, (Texts{"Punct"}));
  EXPECT_TRUE(parse_trmor_analysis("?").unknown);
  EXPECT_TRUE(parse_trmor_analysis("*UNKNOWN*").unknown);
  EXPECT_EQ(parse_trmor_analysis("abc+*UNKNOWN*").lemma, "");
  const auto mark = parse_trmor_analysis("?+Punct");
  EXPECT_FALSE(mark.unknown);
  EXPECT_EQ(mark.lemma, "?");
}

TEST(Trmor, TheThreeForms) {
  const Trmor a = parse_trmor(
      "<DOC>\t<DOC>+BDTag\n<S>\t<S>+BSTag\neski\teski+Adj\teski+Verb+Pos+Imp+A2sg\n<\t<+Punct\n"
      "</S>\t</S>+ESTag\n</DOC>\t</DOC>+EDTag\n<DOC>\t<DOC>+BDTag\n<S>\t<S>+BSTag\n?\t?+Punct\n");
  ASSERT_EQ(a.sentences.size(), 2u);
  EXPECT_EQ(a.documents, 2);
  EXPECT_EQ(a.sentences[1].document, 1);
  EXPECT_TRUE(a.sentences[0].words[0].ambiguous());
  EXPECT_EQ(a.sentences[0].words[1].word, "<");
  const Trmor b = parse_trmor(
      "\xEF\xBB\xBF<S> <S>+BSTag\r\nyeni yeni+Adj yen+Noun+A3sg+Pnon+Acc\r\n</S> </S>+ESTag \r\n");
  ASSERT_EQ(b.sentences.size(), 1u);
  EXPECT_EQ(b.sentences[0].words[0].analyses[1].lemma, "yen");
  const Trmor c =
      parse_trmor("<S id=\"1\">\nsenin\tsen+Pron+Pers+A2sg+Pnon+Gen\nxyz\t?\n</S>\n<S id=\"2\">\n</S>\n");
  ASSERT_EQ(c.sentences.size(), 1u);
  EXPECT_TRUE(c.sentences[0].words[1].analyses[0].unknown);
  EXPECT_TRUE(has(error_of([] { parse_trmor("<S>\nword\n", "f"); }), "f: line 2"));
}

TEST(Trmor, RealFilesHaveTheirPublishedCounts) {
  const struct {
    const char* file;
    std::int64_t documents;
    std::size_t sentences, words, plain, ambiguous, unknown;
  } all[] = {{"trmor/trmor2006.test", 3, 42, 862, 482, 379, 1},
             {"trmor/trmor2016.test", 42, 1286, 19262, 9782, 9446, 34}};
  for (const auto& f : all) {
    if (!std::filesystem::exists(shared(f.file))) GTEST_SKIP() << shared(f.file) << " is not there";
    const Trmor t = read_trmor(shared(f.file));
    std::size_t words = 0, plain = 0, ambiguous = 0, unknown = 0;
    for (const auto& s : t.sentences) {
      for (const auto& w : s.words) {
        ++words;
        if (w.analyses[0].unknown)
          ++unknown;
        else
          ++(w.ambiguous() ? ambiguous : plain);
      }
    }
    EXPECT_EQ(t.documents, f.documents);
    EXPECT_EQ(t.sentences.size(), f.sentences);
    EXPECT_EQ(words, f.words);
    EXPECT_EQ(plain, f.plain);
    EXPECT_EQ(ambiguous, f.ambiguous);
    EXPECT_EQ(unknown, f.unknown);
  }
}

}  // namespace
