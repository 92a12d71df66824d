// GLUE, stories, translations: small files with the columns, quotes and oddities of the real ones.
#include <cmath>

#include "knet/knet.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using namespace knet::datasets;
using io_test::error_of;
using io_test::has;
using Texts = std::vector<std::string>;

class GlueFiles : public io_test::Folder {
 protected:
  void put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    io_test::write(path(name), text);
  }
};

TEST_F(GlueFiles, Cola) {
  put("CoLA/train.tsv",
      "gj04\t1\t\tOur friends won't buy this.\ngj04\t0\t*\t\"They drank the pub.\nx\t1\t\tlast\" one\n");
  put("CoLA/test.tsv", "index\tsentence\n0\tBill whistled past the house.\n");
  const Glue g = cola(folder, Part::train);
  ASSERT_EQ(g.rows.size(), 3u);  // a quote does not join lines
  EXPECT_EQ(g.rows[1].first, "\"They drank the pub.");
  EXPECT_EQ(g.rows[1].line, 2u);
  EXPECT_EQ(g.y().to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 0, 1}));
  const Glue t = cola(folder + "/CoLA", Part::test);
  EXPECT_EQ(t.rows[0].first, "Bill whistled past the house.");
  EXPECT_EQ(t.rows[0].label, ignore);
  const std::string e = error_of([&] { cola(folder, Part::dev); });
  EXPECT_TRUE(has(e, "cola") && has(e, "dev.tsv") && has(e, "gluebenchmark.com") && has(e, folder));
}

TEST_F(GlueFiles, PairsByTheirColumns) {
  put("QQP/train.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tA \"b?\tC?\t1\r\n");
  put("QQP/test.tsv", "id\tquestion1\tquestion2\n0\tX\tY\n");
  EXPECT_EQ(qqp(folder, Part::train).rows[0].first, "A \"b?");
  EXPECT_EQ(qqp(folder, Part::train).rows[0].label, 1);
  EXPECT_EQ(qqp(folder, Part::test).rows[0].second, "Y");
  put("SST-2/dev.tsv", "sentence\tlabel\nfine \t1\n");
  EXPECT_EQ(sst2(folder, Part::dev).rows[0].first, "fine ");
  put("QNLI/dev.tsv", "index\tquestion\tsentence\tlabel\n0\tq\ts\tnot_entailment\n");
  EXPECT_EQ(qnli(folder, Part::dev).rows[0].label, 1);
  put("RTE/train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n");
  EXPECT_EQ(rte(folder, Part::train).rows[0].label, 0);
  put("WNLI/train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n");
  EXPECT_EQ(wnli(folder, Part::train).rows[0].label, 1);
  put("STS-B/dev.tsv",
      "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
      "0\tg\tf\t2012\t0001\tnone\tnone\tA \"man\tB\t4.750\n");
  put("STS-B/test.tsv",
      "index\tgenre\tfilename\tyear\told_"
      "index\tsource1\tsource2\tsentence1\tsentence2\n0\tg\tf\t2\t1\tn\tn\tA\tB\n");
  const Glue s = stsb(folder, Part::dev), st = stsb(folder, Part::test);
  EXPECT_EQ(s.rows[0].first, "A \"man");
  EXPECT_FLOAT_EQ(s.y()(0).item<float>(), 4.75F);
  EXPECT_EQ(st.rows[0].second, "B");
  EXPECT_TRUE(std::isnan(st.rows[0].score));
}

TEST_F(GlueFiles, GoldLabelsNotAnnotators) {
  const std::string parses =
      "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
      "sentence1_parse\tsentence2_parse\tsentence1\tsentence2";
  const std::string row = "0\t1\t1n\tfiction\t( a )\t( b )\t(S a)\t(S b)\tPremise\tHypothesis";
  put("MNLI/train.tsv", parses + "\tlabel1\tgold_label\n" + row + "\tneutral\tneutral\n");
  put("MNLI/dev_matched.tsv", parses + "\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n" + row +
                                  "\tneutral\tentailment\tneutral\tneutral\tcontradiction\tcontradiction\n");
  put("MNLI/dev_mismatched.tsv", parses + "\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n" + row +
                                     "\tneutral\tneutral\tneutral\tneutral\tneutral\tentailment\n");
  put("MNLI/test_matched.tsv", parses + "\n" + row + "\n");
  EXPECT_EQ(mnli(folder, Part::train).rows[0].label, 1);
  EXPECT_EQ(mnli(folder, Part::dev).rows[0].label, 2);
  EXPECT_EQ(mnli(folder, Part::dev, {.matched = false}).rows[0].label, 0);
  EXPECT_EQ(mnli(folder, Part::test).rows[0].second, "Hypothesis");
  EXPECT_EQ(mnli(folder, Part::test).rows[0].label, ignore);
  const std::string snli_columns =
      "index\tcaptionID\tpairID\tsentence1_binary_parse\tsentence2_binary_parse\t"
      "sentence1_parse\tsentence2_parse\tsentence1\tsentence2";
  put("SNLI/dev.tsv",
      snli_columns +
          "\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
          "0\tc\tp\tx\tx\tx\tx\tP\tH\tneutral\tneutral\tneutral\tneutral\tneutral\tcontradiction\n"
          "1\tc\tp\tx\tx\tx\tx\tP\tH\tneutral\tentailment\t\t\t\t-\n");
  const Glue s = snli(folder, Part::dev);
  EXPECT_EQ(s.rows[0].label, 2);
  EXPECT_EQ(s.rows[1].label, ignore);
  put("snli_1.0_test.txt",
      "gold_label\tsentence1_binary_parse\tsentence1\tsentence2\tlabel1\nneutral\tx\tP\tH\tentailment\n");
  EXPECT_EQ(snli(folder, Part::test).rows[0].label, 1);
  put("diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2\n0\tP\tH\n");
  EXPECT_EQ(diagnostic(folder).rows[0].first, "P");
  put("diagnostic-full.tsv",
      "Lexical Semantics\tLogic\tDomain\tPremise\tHypothesis\tLabel\n\t\tNews\tP2\tH2\tcontradiction\n");
  EXPECT_EQ(diagnostic(folder).rows[0].label, 2);
}

TEST_F(GlueFiles, MrpcIsDividedByIds) {
  const std::string header = "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n";
  put("msr_paraphrase_train.txt", header + "1\t10\t11\tA \"x\tB\r\n0\t20\t21\tC\tD\r\n1\t10\t21\tE\tF\r\n");
  put("mrpc_dev_ids.tsv", "20\t21\n");
  put("msr_paraphrase_test.txt", header + "0\t30\t31\tG\tH\r\n");
  const Glue trn = mrpc(folder, Part::train), dev = mrpc(folder, Part::dev), tst = mrpc(folder, Part::test);
  ASSERT_EQ(trn.rows.size(), 2u);
  EXPECT_EQ(trn.rows[0].first, "A \"x");
  EXPECT_EQ(trn.rows[1].second, "F");
  ASSERT_EQ(dev.rows.size(), 1u);
  EXPECT_EQ(dev.rows[0].first, "C");
  EXPECT_EQ(tst.rows[0].label, 0);
  put("MRPC/test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tI\tJ\n");
  EXPECT_EQ(mrpc(folder + "/MRPC", Part::test).rows[0].label, ignore);
}

TEST(GlueText, NoRowIsLostSilently) {
  const std::string header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n";
  const std::string bad = header + "1\t2\t3\tA\tB\t1\n4\t5\t6\tC\n7\t8\t9\tD\xE2\x80\xA8 E\x0B\tF\t0\n";
  EXPECT_TRUE(has(error_of([&] { parse_glue("qqp", Part::train, bad, {}, "f"); }),
                  "f: line 3: 4 columns (expected 6)"));
  const Glue g = parse_glue("qqp", Part::train, bad, {.skip_bad_rows = true});
  EXPECT_EQ(g.rows.size(), 2u);
  EXPECT_EQ(g.skipped, (std::vector<std::size_t>{3}));
  EXPECT_EQ(g.rows[1].first, "D\xE2\x80\xA8 E\x0B");  // only \n ends a line
  EXPECT_TRUE(has(error_of([&] { parse_glue("qqp", Part::train, header + "1\t2\t3\tA\tB\tyes\n"); }),
                  "label \"yes\""));
  EXPECT_TRUE(has(error_of([&] { parse_glue("rte", Part::train, header); }), "no column \"sentence1\""));
  EXPECT_TRUE(has(
      error_of([&] { parse_glue("stsb", Part::train, "sentence1\tsentence2\tscore\na\tb\t5.5\n"); }), "5.5"));
  EXPECT_TRUE(has(error_of([&] { parse_glue("rte", Part::train, ""); }), "is empty"));
  EXPECT_THROW(parse_glue("nothing", Part::train, ""), ValueError);
}

TEST_F(GlueFiles, Stories) {
  const std::string header =
      "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,RandomFifthSentenceQuiz1,"
      "RandomFifthSentenceQuiz2";
  put("cloze_test_val__spring2016 - cloze_test_ALL_val.csv",
      header +
          ",AnswerRightEnding\r\n007,\"Rick, who was \"\"bad\"\", "
          "fell.\",b,NA,d,e,f,2\r\nid2,a,b,c,d,e,f,1\r\n");
  put("cloze_test_test__winter2018-cloze_test_ALL_test - 1.csv", header + "\nx,a,b,c,d,e,f\n");
  const auto s = story_cloze(folder, ClozePart::validation2016);
  ASSERT_EQ(s.size(), 2u);
  EXPECT_EQ(s[0].id, "007");
  EXPECT_EQ(s[0].sentences[0], "Rick, who was \"bad\", fell.");
  EXPECT_EQ(s[0].sentences[2], "NA");
  EXPECT_EQ(s[0].endings[1], "f");
  EXPECT_EQ(s[0].right, 1);
  EXPECT_EQ(s[1].right, 0);
  EXPECT_EQ(story_cloze(folder, ClozePart::test2018)[0].right, ignore);
  const std::string e = error_of([&] { story_cloze(folder, ClozePart::test2016); });
  EXPECT_TRUE(has(e, "cloze_test_test__spring2016") && has(e, "rochester"));
  EXPECT_TRUE(
      has(error_of([&] { parse_story_cloze(header + ",AnswerRightEnding\nx,a,b,c,d,e,f,3\n"); }), "story 1"));
  const auto r = parse_roc_stories(
      "storyid,storytitle,sentence1,sentence2,sentence3,sentence4,sentence5\n1,T,a,b,c,d,\"e, f\"\n");
  EXPECT_EQ(r[0].title, "T");
  EXPECT_EQ(r[0].sentences[4], "e, f");
  EXPECT_TRUE(has(error_of([&] { parse_roc_stories("storyid\n1\n"); }), "storytitle"));
}

TEST_F(GlueFiles, Wmt) {
  put("train.tok.clean.bpe.32000.en", "a b@@ c\n\xC2\x85 d\n");
  put("train.tok.clean.bpe.32000.de", "A\nB\n");
  put("newstest2013.tok.en", "x\n");
  put("newstest2013.tok.de", "y\nz\n");
  put("vocab.bpe.32000", "<unk>\n<s>\nthe\n");
  const Parallel p = wmt14(folder);
  EXPECT_EQ(p.source, (Texts{"a b@@ c", "\xC2\x85 d"}));
  EXPECT_EQ(p[1].second, "B");
  EXPECT_EQ(wmt14(folder, {.source = "de", .target = "en"}).source[0], "A");
  EXPECT_TRUE(has(error_of([&] { wmt14(folder, {.year = 2013, .form = "tok"}); }), "has 1 lines"));
  EXPECT_TRUE(has(error_of([&] { wmt14(folder, {.year = 2014}); }), "newstest2014.tok.bpe.32000.en"));
  EXPECT_THROW(wmt14(folder, {.year = 2008}), ValueError);
  EXPECT_THROW(wmt14(folder, {.target = "fr"}), ValueError);
  EXPECT_THROW(wmt14(folder, {.year = 2014, .form = "x"}), ValueError);
  EXPECT_EQ(wmt14_vocabulary(folder)[2], "the");
  EXPECT_EQ(parallel_text(path("newstest2013.tok.en"), path("newstest2013.tok.en")).size(), 1u);
}

TEST_F(GlueFiles, Iwslt) {
  put("de-en/train.tags.de-en.de",
      "<doc docid=\"1\" genre=\"lectures\">\n<url>http://x</url>\n<keywords>a, "
      "b</keywords>\n<title>T</title>\n"
      "<description>D</description>\n<talkid>1</talkid>\n Vielen Dank. \n<3 sagt & "
      "man.\n<reviewer></reviewer>\n</doc>\n");
  put("de-en/train.tags.de-en.en", "<url>http://x</url>\nThank you.\n<i>One</i> says.\n");
  const Parallel p = iwslt2016(folder);
  EXPECT_EQ(p.source, (Texts{"Vielen Dank.", "<3 sagt & man."}));
  EXPECT_EQ(p.target, (Texts{"Thank you.", "<i>One</i> says."}));
  const std::string name = "IWSLT16.TED.tst2013.de-en.";
  put(name + "de.xml",
      "<?xml version=\"1.0\"?>\n<srcset>\n<segment/>\n<doc>\n<title>T</title>\n<seg id=\"1\"> A &amp; "
      "B&#x21;\nC </seg>\n"
      "<seg id=\"2\">x &lt;y&gt; &nbsp; &#xD800; </seg>\n</doc></srcset>");
  put(name + "en.xml", "<seg id=\"1\">a</seg><seg id=\"2\">b</seg>");
  const Parallel t = iwslt2016(folder, {.part = "tst", .year = 2013});
  EXPECT_EQ(t.source, (Texts{"A & B! C", "x <y> &nbsp; &#xD800;"}));
  put(name + "en.xml", "<seg id=\"1\">a</seg>\n\n<seg id=\"2\">b");
  const std::string e = error_of([&] { iwslt2016(folder, {.part = "tst", .year = 2013}); });
  EXPECT_TRUE(has(e, "en.xml: line 3") && has(e, "not closed"));
  EXPECT_TRUE(has(error_of([] { clean_iwslt_xml("<doc>"); }), "no <seg>"));
  EXPECT_TRUE(has(error_of([] { clean_iwslt_xml("<seg id=1>a<seg id=2>b</seg>"); }), "line 1"));
  EXPECT_TRUE(has(error_of([&] { iwslt2016(folder, {.part = "dev"}); }), "IWSLT16.TED.dev2010.de-en.de.xml"));
  EXPECT_THROW(iwslt2016(folder, {.source = "de", .target = "fr"}), ValueError);
  EXPECT_THROW(iwslt2016(folder, {.source = "tr"}), ValueError);
  EXPECT_THROW(iwslt2016(folder, {.part = "test"}), ValueError);
}

}  // namespace
