// Morse against PyTorch, its data and files, and what it learns.
#include <cmath>
#include <cstdlib>
#include <set>

#include "knet/models/morse_evaluation.hpp"
#include "knet/models/morse_files.hpp"
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;
using Ids = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

constexpr MorseType types[] = {MorseType::morse,      MorseType::s2s_context, MorseType::s2s,
                               MorseType::classifier, MorseType::morse_dis,   MorseType::s2s_context_dis};

// ---- the network ----

Morse filled(MorseType type, double dropout = 0.3, bool drop_state = false) {
  Morse m{.config = {.type = type,
                     .hidden = {6, 5, 6, 6},
                     .embed = {3, 4},
                     .dropout = dropout,
                     .drop_state = drop_state},
          .sizes = {.characters = 9, .letters = 5, .tags = 6, .composites = 4}};
  fill_by_name(m);
  for (auto& [name, param] : named_params(m)) *param = Tensor(*param) * 3.0;
  Tensor bias = m.output.bias;
  bias.ref(morse_symbol::start) += -9.0;
  bias.ref(morse_symbol::end) += 1.5;
  m.output.bias = bias;
  return m;
}
Ids ids_of(const Reference& r, const std::string& name) { return r.at(name).to_vector<std::int64_t>(); }

std::vector<std::vector<MorseItem>> sentences_of(const Reference& r) {
  std::vector<std::vector<MorseItem>> all;
  for (int s = 0; r.contains("characters." + std::to_string(s) + ".0"); ++s) {
    all.emplace_back();
    for (int i = 0;; ++i) {
      const std::string at = "." + std::to_string(s) + "." + std::to_string(i);
      if (!r.contains("characters" + at)) break;
      MorseItem w{.characters = ids_of(r, "characters" + at),
                  .known = ids_of(r, "known" + at)[0] == 1,
                  .composite = ids_of(r, "composite" + at)[0]};
      for (int k = 0; r.contains("candidate" + at + "." + std::to_string(k)); ++k)
        w.candidates.push_back(
            {.symbols = ids_of(r, "candidate" + at + "." + std::to_string(k)), .source = k});
      all.back().push_back(w);
    }
  }
  return all;
}

class MorseNetwork : public testing::TestWithParam<MorseType> {
 protected:
  const Reference r = load_reference("morse");
  const std::vector<std::vector<MorseItem>> sentences = sentences_of(r);
  const std::string name = morse_type_name(GetParam());
};
TEST_P(MorseNetwork, ScoresLossAndGradientsArePyTorchs) {
  ASSERT_EQ(sentences.size(), 3u);
  Morse m = filled(GetParam());
  const MorseBatch batch = morse_batch(sentences);
  const Morse::Scores s = m(batch);
  EXPECT_EQ(s.labels.to_vector<std::int64_t>(), ids_of(r, name + ".labels"));
  expect_close(s.scores, r.at(name + ".scores"), "scores", 1e-5);
  const Mode inference(false);  // without dropout
  const Tape tape = diff([&] { return m.loss(batch); });
  EXPECT_NEAR(tape.item(), r.at(name + ".loss").item(), 1e-5);
  for (const auto& [parameter, p] : named_params(m))
    expect_close(tape.grad(*p), r.at(name + ".grad." + parameter), parameter, 1e-5);
}
TEST_P(MorseNetwork, PredictionsArePyTorchs) {
  const Morse m = filled(GetParam());
  const MorseBatch batch = morse_batch(sentences);
  const auto out = m.predict(batch, {.limit = 7});
  ASSERT_EQ(out.size(), 8u);
  for (std::size_t k = 0; k < out.size(); ++k) {
    const auto [s, i] = batch.places[k];
    const Ids right = ids_of(r, name + ".output." + std::to_string(s) + "." + std::to_string(i));
    Ids got = out[k].symbols;
    if (GetParam() == MorseType::classifier) {
      got = {out[k].composite};
    } else if (is_disambiguator(GetParam())) {
      got = {out[k].source};
    } else if (out[k].ended) {
      got.push_back(morse_symbol::end);
    }
    EXPECT_EQ(got, right) << s << "." << i;
  }
  // Alone each sentence gives the same.
  for (std::size_t s = 0; s < sentences.size(); ++s) {
    const auto alone = m.predict(morse_batch({sentences[s]}), {.limit = 7});
    for (std::size_t k = 0; k < out.size(); ++k) {
      if (batch.places[k].first != s) continue;
      EXPECT_EQ(alone[batch.places[k].second].symbols, out[k].symbols);
    }
  }
}
TEST_P(MorseNetwork, DropoutIsForTraining) {
  const Morse m = filled(GetParam(), 0.4);
  const MorseBatch batch = morse_batch(sentences);
  EXPECT_EQ(m.loss(batch).item(), m.loss(batch).item());
  double a = 0, b = 0;
  {
    const Mode on(true);
    a = m.loss(batch).item(), b = m.loss(batch).item();
  }
  EXPECT_NE(a, b);
}
TEST_P(MorseNetwork, Files) {
  const Folder f("morse-files");
  MorseVocabulary v;
  for (const char* c : {"a", "b", "c", "d", "e", "f", "g", "h", "ı"}) v.characters.push_back(c);
  for (const char* c : {"a", "b", "c", "d", "ı"}) v.letters.push_back(c);
  for (const char* c : {"Noun", "Verb", "A3sg", "Nom", "^DB", "x"}) v.tags.push_back(c);
  for (const char* c : {"Noun", "Verb", "Noun\tA3sg", "x"}) v.composites.push_back(c);
  v.composite_counts = {3, 1, 5, 2};
  v.words.push_back("abc");
  v.format = MorseFormat::trmor;
  v.language = unicode::Language::turkish;
  const Morse m = filled(GetParam());
  save_morse(f / "m.safetensors", m, v);
  const MorseWithVocabulary got = load_morse(f / "m.safetensors");
  EXPECT_EQ(got.model.config, m.config);
  EXPECT_EQ(got.model.sizes, m.sizes);
  EXPECT_TRUE(equal(got.model(morse_batch(sentences)).scores, m(morse_batch(sentences)).scores));
  EXPECT_EQ(got.vocabulary.composite_counts, v.composite_counts);
  EXPECT_EQ(got.vocabulary.letters[4], "ı");
  EXPECT_EQ(got.vocabulary.format, MorseFormat::trmor);
  EXPECT_EQ(got.vocabulary.language, unicode::Language::turkish);
  if (is_disambiguator(GetParam()))
    expect_error<ValueError>([&] { got("abc"); }, {"given analyses"});
  else
    EXPECT_EQ(got("ABC bı ?").size(), 3u);
  v.tags.push_back("y");
  expect_error<ValueError>([&] { save_morse(f / "n.safetensors", m, v); }, {"not the model's"});
}
INSTANTIATE_TEST_SUITE_P(Types, MorseNetwork, testing::ValuesIn(types),
                         [](const auto& type) { return std::string(morse_type_name(type.param)); });

// A state that is dropped out in every step differs from one whose output is; without dropout they are equal.
TEST(Morse, DroppedStates) {
  const MorseBatch batch = morse_batch(sentences_of(load_reference("morse")));
  const Mode on(true);
  const auto loss = [&](double p, bool state) {
    seed(5);
    return filled(MorseType::morse, p, state).loss(batch).item();
  };
  EXPECT_NE(loss(0.3, true), loss(0.3, false));
  EXPECT_NEAR(loss(1e-12, true), loss(1e-12, false), 1e-5);  // step by step and in one call
}

TEST(Morse, BadModelsAndBatches) {
  EXPECT_EQ(morse_type("S2SContextDis"), MorseType::s2s_context_dis);
  expect_error<ValueError>([] { morse_type("LSTM"); }, {"\"LSTM\"", "MorseModel", "Classifier"});
  const auto make = [](MorseConfig c) { return [c] { (void)Morse{.config = c, .sizes = {1, 1, 1, 1}}; }; };
  expect_error<ValueError>(make({.hidden = {4, 4, 5, 4}}), {"5", "4", "equal"});
  expect_error<ValueError>(make({.hidden = {4, 4, 4, 5}}), {"added"});
  expect_error<ValueError>(make({.hidden = {4, 0, 4, 4}}), {"at least 1"});
  expect_error<ValueError>(make({.dropout = 1}), {".dropout = 1"});
  expect_error<ValueError>(make({.previous = -1}), {".previous = -1"});
  EXPECT_NO_THROW(make({.type = MorseType::s2s_context, .hidden = {4, 3, 4, 5}})());
  expect_error<ValueError>([] { morse_batch({}); }, {"no sentences"});
  expect_error<ValueError>(
      [] {
        morse_batch({{MorseItem{.characters = {4}}}, {}});
      },
      {"sentence 1", "no words"});
  const Morse m = filled(MorseType::morse);
  expect_error<ValueError>([&] { m(morse_batch({{MorseItem{.characters = {4}}}})); }, {"known"});
  expect_error<ValueError>([&] { m.predict(morse_batch({{MorseItem{}}})); }, {"empty"});
  expect_error<ValueError>([&] { m.predict(morse_batch({{MorseItem{.characters = {13}}}})); }, {"13"});
  expect_error<ValueError>([&] { m.predict(morse_batch({{MorseItem{.characters = {4}}}}), {.limit = 0}); },
                           {".limit = 0"});
}

// ---- data ----

const char* conllu =
    "# sent_id = 1\n# text = Gidelim İSTANBUL'a\n"
    "1-2\tGidelim\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tGidel\tGit\tVERB\t_\tMood=Opt|Person=1\t0\troot\t_\t_\n"
    "2\tim\tI\tAUX\t_\t_\t1\tx\t_\t_\n"
    "2.1\tboş\tboş\tX\t_\t_\t_\t_\t_\t_\n"
    "3\tİSTANBUL'a\tİstanbul\tPROPN\t_\tCase=Dat\t1\tx\t_\t_\n\n";

TEST(MorseData, Conllu) {
  const auto turkish = morse_sentences(datasets::parse_conllu(conllu), unicode::Language::turkish);
  ASSERT_EQ(turkish.size(), 1u);
  EXPECT_EQ(turkish[0].text, "Gidelim İSTANBUL'a");
  const auto& w = turkish[0].words;
  ASSERT_EQ(w.size(), 3u);  // neither 1-2 nor 2.1
  EXPECT_EQ(w[0].form, "Gidel");
  EXPECT_EQ(w[0].word, "gidel");
  EXPECT_EQ(w[0].analyses[0], (MorseAnalysis{.lemma = "git", .tags = {"Upos=VERB", "Mood=Opt", "Person=1"}}));
  EXPECT_EQ(w[1].analyses[0], (MorseAnalysis{.lemma = "ı", .tags = {"Upos=AUX"}}));
  EXPECT_EQ(w[2].word, "istanbul'a");
  EXPECT_FALSE(w[2].ambiguous());
  const auto plain = morse_sentences(datasets::parse_conllu(conllu));
  EXPECT_EQ(plain[0].words[1].analyses[0].lemma, "i");
}

const char* trmor =
    "<DOC>\t<DOC>+BDTag\n<S>\t<S>+BSTag\n"
    "Işık\tIşık+Noun+Prop+A3sg+Pnon+Nom\tışık+Noun+A3sg+Pnon+Nom\n"
    "edemez\tet+Verb^DB+Verb+Able+Neg+Aor+A3sg\n"
    "+\t++Punct\n"
    "?\t?+Punct\n"
    "qx\t?\n"
    "</S>\t</S>+ESTag\n<S>\t<S>+BSTag\nqqq\t*UNKNOWN*\n</S>\t</S>+ESTag\n";

TEST(MorseData, Trmor) {
  const auto s = morse_sentences(datasets::parse_trmor(trmor));
  ASSERT_EQ(s.size(), 1u);  // nothing is known about the second
  const auto& w = s[0].words;
  ASSERT_EQ(w.size(), 5u);
  EXPECT_EQ(w[0].word, "ışık");
  EXPECT_TRUE(w[0].ambiguous());
  EXPECT_EQ(w[0].analyses[0], (MorseAnalysis{.lemma = "ışık", .tags = {"Noun", "A3sg", "Pnon", "Nom"}}));
  EXPECT_EQ(w[1].analyses[0].tags, (Texts{"Verb", "^DB", "Verb", "Able", "Neg", "Aor", "A3sg"}));
  EXPECT_EQ(to_text(w[1].analyses[0]), "et+Verb^DB+Verb+Able+Neg+Aor+A3sg");
  EXPECT_EQ(w[2].analyses[0], (MorseAnalysis{.lemma = "+", .tags = {"Punct"}}));
  EXPECT_TRUE(w[3].known());  // the mark itself is not unknown
  EXPECT_FALSE(w[4].known());
}

TEST(MorseData, RawText) {
  const MorseSentence s = morse_sentence(" ANNEM  Işık .", unicode::Language::turkish);
  ASSERT_EQ(s.words.size(), 3u);
  EXPECT_EQ(s.words[1].form, "Işık");
  EXPECT_EQ(s.words[1].word, "ışık");
  EXPECT_EQ(morse_sentence("").words.size(), 0u);
  expect_error<ValueError>([] { morse_sentence("caf\xe9"); }, {"UTF-8"});
}

TEST(MorseData, BadFiles) {
  const Folder f("morse-data");
  f.write("latin.trmor", "<S>\t<S>+BSTag\nsa\tsa+Noun\nkal\xfd\tkal+Verb\n</S>\t</S>+ESTag\n");
  expect_error<IoError>([&] { read_morse(f / "latin.trmor", MorseFormat::trmor); },
                        {"latin.trmor", "sentence 1, word 2", "UTF-8"});
  f.write("short.conllu", "1\ta\ta\n\n");
  expect_error<IoError>([&] { read_morse(f / "short.conllu", MorseFormat::conllu); }, {"3 columns"});
  EXPECT_THROW(read_morse(f / "none", MorseFormat::conllu), IoError);
}

std::vector<MorseSentence> numbered(int from, int to) {
  std::vector<MorseSentence> r;
  for (int i = from; i < to; ++i) {
    const std::string n = std::to_string(i);
    r.push_back({.words = {{.form = n, .word = n, .analyses = {{.lemma = n, .tags = {"Num"}}}}}});
  }
  return r;
}
TEST(MorseData, Splits) {
  const auto sizes = [](const MorseSplits& s) {
    return Ids{std::ssize(s.train), std::ssize(s.dev), std::ssize(s.test)};
  };
  const auto one = morse_splits({numbered(0, 103)});
  EXPECT_EQ(sizes(one), (Ids{82, 10, 11}));
  std::set<std::string> all;
  for (const auto* part : {&one.train, &one.dev, &one.test})
    for (const auto& s : *part) all.insert(s.words[0].word);
  EXPECT_EQ(all.size(), 103u);
  EXPECT_NE(one.train[0].words[0].word + one.train[1].words[0].word, "01");  // shuffled
  EXPECT_EQ(one.train[5].words[0].word, morse_splits({numbered(0, 103)}).train[5].words[0].word);
  EXPECT_EQ(sizes(morse_splits({numbered(0, 100)}, {.train_size = 30})), (Ids{30, 10, 10}));
  EXPECT_EQ(sizes(morse_splits({numbered(0, 100)}, {.train_size = 90})), (Ids{90, 5, 5}));
  EXPECT_EQ(sizes(morse_splits({numbered(0, 100), numbered(0, 2)})), (Ids{90, 5, 2}));
  EXPECT_EQ(sizes(morse_splits({numbered(0, 100), numbered(0, 50)})), (Ids{90, 10, 50}));
  EXPECT_EQ(sizes(morse_splits({numbered(0, 9), numbered(0, 4), numbered(0, 5)}, {.train_size = 3})),
            (Ids{3, 4, 5}));
  expect_error<ValueError>([] { morse_splits({}); }, {"0 files"});
  expect_error<ValueError>([] { morse_splits({numbered(0, 3)}); }, {"too few"});
}

TEST(MorseData, Vocabulary) {
  const auto s = morse_sentences(datasets::parse_trmor(trmor));
  const MorseVocabulary v(s);
  EXPECT_EQ(v.sizes().characters, 11);
  EXPECT_TRUE(v.letters.contains("+"));
  EXPECT_EQ(v.composites.size(), 3u);  // the two marks share theirs
  EXPECT_EQ(v.composite_counts, (Ids{1, 1, 2}));
  for (const MorseWord& w : s[0].words) {
    const MorseItem item = v.encode(w);
    EXPECT_EQ(item.known, w.known());
    for (const auto& c : item.candidates) {
      const MorseAnalysis back = v.decode({.symbols = c.symbols, .ended = true}, w);
      EXPECT_EQ(back, w.analyses[static_cast<std::size_t>(c.source)]);
    }
    if (!w.known()) continue;
    EXPECT_EQ(v.decode({.ended = true, .composite = item.composite}, w).tags, w.analyses[0].tags);
  }
  // What training did not have is unknown, on both sides.
  const MorseItem strange =
      v.encode({.form = "jı", .word = "jı", .analyses = {{.lemma = "j", .tags = {"Verb", "Z"}}}});
  EXPECT_EQ(strange.characters[0], morse_symbol::unknown);
  EXPECT_EQ(strange.candidates[0].symbols[0], morse_symbol::unknown);
  EXPECT_EQ(strange.candidates[0].symbols[2], morse_symbol::unknown);
  EXPECT_EQ(strange.composite, morse_symbol::unknown);
  EXPECT_EQ(v.decode({.symbols = {0}}, s[0].words[0]),
            (MorseAnalysis{.lemma = "\uFFFD", .tags = {}, .unknown = true}));
  EXPECT_EQ(MorseVocabulary(s, {.lemma = false}).sizes().letters, 0);
  EXPECT_EQ(MorseVocabulary(s, {.threshold = 2}).encode(s[0].words[3]).characters, (Ids{0}));
  expect_error<ValueError>([] { (void)MorseVocabulary(std::vector<MorseSentence>{}); }, {"no sentences"});
  expect_error<ValueError>([&] { v.encode(MorseWord{}); }, {"empty"});
}

// ---- evaluation ----

TEST(MorseEvaluation, FixedPredictions) {
  const auto word = [](const char* w, std::vector<MorseAnalysis> a) { return MorseWord{w, w, std::move(a)}; };
  const std::vector<MorseSentence> gold{
      {.words = {word("kedi", {{"kedi", {"Upos=NOUN", "Case=Nom"}}}),
                 word("geldi", {{"gel", {"Upos=VERB"}}, {"g", {}}})}},
      {.words = {word("12", {{"12", {"Upos=NUM"}}}), word("x", {{"", {}, true}}),
                 word("ev", {{"ev", {"Upos=NOUN", "Case=Nom"}}})}}};
  MorseVocabulary v(std::vector<MorseSentence>{gold[0]});
  using Sentence = std::vector<MorseAnalysis>;
  const std::vector<Sentence> given{
      Sentence{{"kedi", {"Upos=NOUN", "Case=Acc"}}, {"gel", {"Upos=VERB"}}},
      Sentence{{"99", {"Upos=NUM"}}, {"y", {"Upos=X"}}, {"e", {"Upos=NOUN", "Case=Nom"}}}};
  const MorseScore s = morse_score(v, gold, given);
  const auto counts = [](const MorseCounts& c) { return Ids{c.words, c.lemmas, c.tags, c.complete}; };
  EXPECT_EQ(counts(s.all), (Ids{4, 3, 3, 2}));  // a digit stands for any letter
  EXPECT_EQ(counts(s.ambiguous), (Ids{1, 1, 1, 1}));
  EXPECT_EQ(counts(s.unseen), (Ids{2, 1, 2, 1}));
  EXPECT_EQ(counts(s.by_count[0]), (Ids{1, 1, 1, 1}));
  EXPECT_EQ(counts(s.by_count[1]), (Ids{3, 2, 2, 1}));
  EXPECT_EQ(counts(s.by_count[2]), (Ids{0, 0, 0, 0}));
  // Upos: 4 of 4; Case: 1 right of 2 given and 2 expected.
  EXPECT_NEAR(s.f1_micro, 100.0 * 2 * 5 / 12, 1e-9);
  EXPECT_NEAR(s.f1_macro, 100.0 * (4 * 1.0 + 2 * 0.5) / 6, 1e-9);
  EXPECT_EQ(s.all.percent(s.all.complete), 50);
  EXPECT_TRUE(std::isnan(s.by_count[2].percent(0)));
  // An output without an end has no right tags.
  auto endless = given;
  endless[0][1].unknown = true;
  EXPECT_EQ(morse_score(v, gold, endless).all.tags, 2);
  expect_error<ValueError>([&] { morse_score(v, gold, {given[0]}); }, {"1 predicted sentences for 2"});
  expect_error<ValueError>([&] { morse_score(v, gold, {given[0], given[0]}); }, {"sentence 1"});

  const Folder f("morse-written");
  write_morse(f / "a.conllu", v, gold, given);
  const auto back = morse_sentences(datasets::read_conllu(f / "a.conllu"));
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].text, "kedi geldi");
  EXPECT_EQ(back[1].words[2].analyses[0], given[1][2]);
  v.format = MorseFormat::trmor;
  const std::vector<MorseAnalysis> derived{{"et", {"Verb", "^DB", "Adj"}}, {"gel", {"Verb"}}};
  write_morse(f / "a.trmor", v, {gold[0]}, {derived});
  const auto turkish = read_morse(f / "a.trmor", MorseFormat::trmor);
  EXPECT_EQ(turkish[0].words[0].analyses[0], derived[0]);
  expect_error<ValueError>([&] { write_morse(f / "b", v, gold, {derived}); }, {"sentence 1"});
}

// ---- learning ----

const char* lesson =
    "<S>\t<S>+BSTag\nannem\tanne+Noun+A3sg+P1sg+Nom\tan+Noun+A3sg+P1sg+Nom\nsana\tsen+Pron+Pers+A2sg+Pnon+"
    "Dat\n"
    "yardım\tyardım+Noun+A3sg+Pnon+Nom\nedemez\tet+Verb^DB+Verb+Able+Neg+Aor+A3sg\n.\t.+Punct\n</S>\t</"
    "S>+ESTag\n"
    "<S>\t<S>+BSTag\nev\tev+Noun+A3sg+Pnon+Nom\nannem\tan+Noun+A3sg+P1sg+Nom\tanne+Noun+A3sg+P1sg+Nom\n</"
    "S>\t</S>+ESTag\n"
    "<S>\t<S>+BSTag\nsana\tsan+Verb+Opt+A3sg\tsen+Pron+Pers+A2sg+Pnon+Dat\ngeldi\tgel+Verb+Past+A3sg\n</"
    "S>\t</S>+ESTag\n";

MorseWithVocabulary taught(MorseType type, int epochs = 120) {
  seed(7);
  const auto s = morse_sentences(datasets::parse_trmor(lesson));
  MorseWithVocabulary m;
  m.vocabulary = MorseVocabulary(s, {.format = MorseFormat::trmor,
                                     .language = unicode::Language::turkish,
                                     .lemma = type != MorseType::classifier});
  m.model = Morse{.config = {.type = type, .hidden = {32, 32, 32, 32}, .embed = {16, 16}, .dropout = 0.1},
                  .sizes = m.vocabulary.sizes()};
  Optimizer opt(m.model, Adam{.lr = 0.01});
  for (int e = 0; e < epochs; ++e) {
    for (const MorseSentence& sentence : s) {
      const MorseBatch batch = morse_batch({m.vocabulary.encode(sentence)});
      opt.step(diff([&] { return m.model.loss(batch); }));
    }
  }
  return m;
}
class MorseLearning : public testing::TestWithParam<MorseType> {};
TEST_P(MorseLearning, AFewSentencesByHeart) {
  if (GetParam() == MorseType::s2s) GTEST_SKIP() << "without context it cannot tell the two annem apart";
  const MorseWithVocabulary m = taught(GetParam());
  const auto s = morse_sentences(datasets::parse_trmor(lesson));
  const MorseScore score = morse_evaluate(m.model, m.vocabulary, s);
  EXPECT_EQ(score.all.words, 9);
  EXPECT_EQ(score.all.complete, 9);
  EXPECT_EQ(score.ambiguous.words, 3);
  EXPECT_LT(score.loss, 0.3);
  if (GetParam() == MorseType::morse) {
    const auto a = m("Annem sana yardım EDEMEZ .");
    EXPECT_EQ(to_text(a[3]), "et+Verb^DB+Verb+Able+Neg+Aor+A3sg");
    EXPECT_EQ(m("").size(), 0u);
    EXPECT_EQ(m("漢字 😀").size(), 2u);
    expect_error<ValueError>([&] { m("caf\xe9"); }, {"UTF-8"});
  }
}
INSTANTIATE_TEST_SUITE_P(Types, MorseLearning, testing::ValuesIn(types),
                         [](const auto& type) { return std::string(morse_type_name(type.param)); });

TEST(MorseTransfer, SharedSymbolsAndLayers) {
  const MorseWithVocabulary from = taught(MorseType::morse, 2);
  // Other symbols, in another order.
  const auto s = morse_sentences(datasets::parse_trmor("<S>\nzev\tzev+Noun+A3sg+Q+Nom\n.\t.+Punct\n</S>\n"));
  const MorseVocabulary v(s, {.format = MorseFormat::trmor});
  Morse to{.config = from.model.config, .sizes = v.sizes()};
  const Morse before = to;
  const MorseTransfer t = morse_transfer(from, to, v);
  EXPECT_EQ(t.characters, 4);  // z, e, v and .
  EXPECT_EQ(t.letters, 3);
  EXPECT_EQ(t.tags, 4);
  const Morse& m = from.model;
  const auto row = [](const Param& p, std::int64_t i) { return Tensor(p)(i); };
  const auto& u = from.vocabulary;
  const auto c = [](const MorseVocabulary& w) { return morse_symbol::count + w.characters["v"]; };
  EXPECT_TRUE(equal(row(to.character_embed.weight, c(v)), row(m.character_embed.weight, c(u))));
  const auto noun = [](const MorseVocabulary& w) { return w.sizes().first_tag() + w.tags["Noun"]; };
  EXPECT_TRUE(equal(row(to.symbol_embed->weight, noun(v)), row(m.symbol_embed->weight, noun(u))));
  EXPECT_TRUE(equal(row(to.output.weight, noun(v)), row(m.output.weight, noun(u))));
  EXPECT_TRUE(equal(row(to.output.bias, noun(v)), row(m.output.bias, noun(u))));
  EXPECT_TRUE(equal(row(to.output.bias, morse_symbol::end), row(m.output.bias, morse_symbol::end)));
  EXPECT_TRUE(equal(to.decoder2->weights[0].wh, m.decoder2->weights[0].wh));
  const auto z = v.sizes().first_tag() + v.tags["Q"];
  EXPECT_TRUE(equal(row(to.output.weight, z), row(before.output.weight, z)));
  Morse other{.config = {.hidden = {8, 8, 8, 8}}, .sizes = v.sizes()};
  expect_error<ValueError>([&] { morse_transfer(from, other, v); }, {"differ"});
  MorseConfig config = from.model.config;
  config.type = MorseType::s2s;
  Morse less{.config = config, .sizes = v.sizes()};
  expect_error<ValueError>([&] { morse_transfer(from, less, v); }, {"S2S"});
  config.type = MorseType::classifier;
  Morse classes{.config = config, .sizes = v.sizes()};
  expect_error<ValueError>([&] { morse_transfer(from, classes, v); }, {"classifier"});
}

TEST(MorseFiles, WhatIsNotOne) {
  const Folder f("morse-bad");
  f.write("text", "nothing");
  EXPECT_THROW(load_morse(f / "text"), IoError);
  EXPECT_THROW(load_morse(f / "none"), IoError);
  const MorseWithVocabulary m = taught(MorseType::s2s, 0);
  save(f / "plain.safetensors", m.model);
  expect_error<IoError>([&] { load_morse(f / "plain.safetensors"); }, {"no Morse model"});
  save_morse(f / "m.safetensors", m.model, m.vocabulary);
  const auto file = io::load_safetensors(f / "m.safetensors");
  const auto with = [&](const std::string& from, const std::string& to) {
    auto metadata = file.metadata;
    std::string& s = metadata["knet.morse"];
    const auto at = s.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    s.replace(at, from.size(), to);
    io::save_safetensors(f / "x.safetensors", file.tensors, metadata);
  };
  const auto refused = [&](const char* part) {
    expect_error<IoError>([&] { load_morse(f / "x.safetensors"); }, {"x.safetensors", part});
  };
  with("\"S2S\"", "\"S3S\""), refused("S3S");
  with("\"S2S\"", "\"MorseModel\""), refused("context_lstm");
  with("\"hidden\":[32,", "\"hidden\":[999999,"), refused("character_lstm");
  with("\"hidden\":[32,", "\"hidden\":["), refused("3 numbers");
  with("\"hidden\":[32,", "\"hidden\":[-1,"), refused("1 to 1000000");
  with("\"dropout\":0.1", "\"dropout\":2"), refused("dropout");
  with("\"data\":\"trmor\"", "\"data\":\"x\""), refused("trmor");
  with("\"words\":[\"annem\",", "\"words\":[\"sana\","), refused("twice");
  with("\"composite_counts\":[", "\"composite_counts\":[-1,"), refused("composite_counts");
  with("\"version\":1", "\"version\":2"), refused("version");
  with("\"lemma\"", "\"lemmas\""), refused("lemmas");
  with("{", "["), refused("x.safetensors");
}

// ---- the real files ----

std::string shared(const std::string& name) {
  const char* v = std::getenv("KNET_DATA");
  return (v ? std::string(v) : std::string(KNET_SOURCE_DIR) + "/../shared/data") + "/" + name;
}
TEST(MorseData, RealFiles) {
  const std::string trmor_file = shared("trmor/trmor2016.test"),
                    dev = shared("ud-turkish-imst/tr_imst-ud-dev.conllu");
  if (!std::filesystem::exists(trmor_file) || !std::filesystem::exists(dev))
    GTEST_SKIP() << trmor_file << " or " << dev << " is absent";
  const auto words = [](const std::vector<MorseSentence>& s) {
    Ids n{0, 0};
    for (const auto& x : s) {
      for (const auto& w : x.words) n[0] += 1, n[1] += w.ambiguous();
    }
    return n;
  };
  const auto tr = read_morse(trmor_file, MorseFormat::trmor);
  const auto ud = read_morse(dev, MorseFormat::conllu, unicode::Language::turkish);
  EXPECT_EQ(ud.size(), 1100u);
  EXPECT_EQ(words(ud), (Ids{10542, 0}));
  EXPECT_EQ(tr.size(), 1286u);
  EXPECT_EQ(words(tr), (Ids{19262, 9446}));
  for (const auto* file : {&tr, &ud}) {
    const MorseVocabulary v(*file);
    for (const MorseSentence& s : *file) {
      for (const MorseWord& w : s.words) {
        for (const auto& c : v.encode(w).candidates)
          ASSERT_EQ(v.decode({.symbols = c.symbols, .ended = true}, w),
                    w.analyses[static_cast<std::size_t>(c.source)]);
      }
    }
  }
}

}  // namespace
