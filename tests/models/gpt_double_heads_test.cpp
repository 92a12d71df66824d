#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

datasets::ClozeStory story(const std::string& a, const std::string& b, const std::string& right,
                           const std::string& wrong, std::int64_t at) {
  return {.id = "1",
          .sentences = {a, b, a, b},
          .endings = {at == 0 ? right : wrong, at == 0 ? wrong : right},
          .right = at};
}
std::vector<datasets::ClozeStory> stories() {
  std::vector<datasets::ClozeStory> v;
  const char* animals[] = {"cat", "dog", "cow", "hen", "pig", "fox"};
  for (int i = 0; i < 8; ++i) {
    const std::string a = animals[i % 6];
    v.push_back(story("The " + a + " came.", "The " + a + " sat.", "I like the " + a + ".",
                      "I fear the " + a + ".", (i * 5 / 3) % 2));
  }
  return v;
}
Tokenizer words() {
  std::vector<std::string> texts;
  for (const auto& s : stories()) texts.push_back(s.sentences[0] + " " + s.sentences[1] + " " + s.endings[0]);
  return train_byte_pair(texts, {.vocabulary = 300});
}

TEST(GPTDoubleHeads, StoriesBecomeTokens) {
  Tokenizer t = words();
  const auto before = t.vocabulary_size();
  const StoryTokens tokens = add_story_tokens(t);
  EXPECT_EQ(t.vocabulary_size(), before + 3);
  EXPECT_EQ(add_story_tokens(t).classify, tokens.classify) << "once is enough";
  const auto list = stories();
  const StoryBatch b = story_batch(t, tokens, std::span(list).first(3));
  ASSERT_EQ(b.ids.ndim(), 3);
  EXPECT_EQ(b.ids.size(0), 3);
  EXPECT_EQ(b.labels.to_vector<std::int64_t>(), (std::vector<std::int64_t>{0, 1, 1}));
  const auto n = b.mask(1, 0).to(i64).sum().item<std::int64_t>();
  const auto row = b.ids(1, 0).to_vector<std::int64_t>();
  EXPECT_EQ(row[0], tokens.start);
  EXPECT_EQ(row[static_cast<std::size_t>(n) - 1], tokens.classify);
  EXPECT_EQ(t.decode(b.ids(1, 0)), "The dog came. The dog sat. The dog came. The dog sat.I fear the dog.");
  // Short of room the beginning goes.
  const StoryBatch cut = story_batch(t, tokens, std::span(list).first(3), 12);
  EXPECT_EQ(cut.ids.size(2), 12);
  EXPECT_EQ(cut.ids(0, 0, -1).item<std::int64_t>(), tokens.classify);
  expect_error<ValueError>([&] { story_batch(t, tokens, list, 5); }, {"ending", "5"});
  expect_error<ValueError>([&] { story_batch(t, tokens, {}); }, {"no story"});
  auto bad = list;
  bad[1].endings[0] = "\xff";
  expect_error<ValueError>([&] { story_batch(t, tokens, bad); }, {"story 1", "UTF-8"});
}

TEST(GPTDoubleHeads, TheLossIsWhatThePaperSays) {
  seed(3);
  GPTDoubleHeads m{GPT2{.config = {.vocabulary = 20, .positions = 8, .size = 16, .layers = 1, .heads = 2}}};
  const StoryBatch b{.ids = Tensor{{{1, 2, 3, 4}, {1, 2, 5, 0}}, {{6, 7, 0, 0}, {6, 8, 9, 10}}},
                     .mask = Tensor{{{1, 1, 1, 1}, {1, 1, 1, 0}}, {{1, 1, 0, 0}, {1, 1, 1, 1}}} != 0.0,
                     .labels = Tensor{0, 1}};
  // Sequence by sequence, without padding.
  std::vector<Tensor> choice;
  double language[2] = {0, 0}, tokens[2] = {0, 0};
  for (int s = 0; s < 2; ++s) {
    for (int e = 0; e < 2; ++e) {
      const auto n = b.mask(s, e).to(i64).sum().item<std::int64_t>();
      const Tensor ids = b.ids(s, e).narrow(0, 0, n), h = m.transformer.hidden(ids);
      choice.push_back(m.classifier(h(n - 1)));
      language[e] += cross_entropy(m.transformer.scores(h.narrow(0, 0, n - 1)), ids.narrow(0, 1, n - 1),
                                   {.average = false})
                         .item();
      tokens[e] += static_cast<double>(n - 1);
    }
  }
  const double classify = nll(cat(choice).reshape({2, 2}), b.labels).item();
  EXPECT_NEAR(double_heads_loss(m, b, {.language = 0}).item(), classify, 1e-5);
  EXPECT_NEAR(double_heads_loss(m, b).item(),
              classify + 0.5 * (language[0] / tokens[0] + language[1] / tokens[1]), 1e-5);
  EXPECT_THROW(double_heads_loss(m, b, {.language = -1}), ValueError);
  expect_error<ValueError>(
      [&] {
        m(b.ids, Tensor{{{1, 0, 1, 1}, {1, 1, 1, 0}}, {{1, 1, 0, 0}, {1, 1, 1, 1}}} != 0.0);
      },
      {"gap"});
  expect_error<ValueError>([&] { m(b.ids, zeros({2, 2, 4}, boolean)); }, {"no token"});
  expect_error<ShapeError>([&] { m(b.ids, zeros({2, 2, 3}, boolean)); }, {"[2, 2, 3]"});
}

TEST(GPTDoubleHeads, ALargerTable) {
  const GPT2 m{.config = tiny_gpt2()};
  const GPT2 more = with_vocabulary(m, 64);
  EXPECT_EQ(more.wte.weight.shape(), (Shape{64, 32}));
  expect_close(more(Tensor{1, 2, 60}).narrow(1, 0, 61), m(Tensor{1, 2, 60}), "old tokens", 1e-6);
  EXPECT_NO_THROW(more(Tensor{63}));
  EXPECT_THROW(with_vocabulary(m, 60), ValueError);
}

TEST(GPTDoubleHeads, Learns) {
  seed(4);
  Tokenizer t = words();
  const StoryTokens tokens = add_story_tokens(t);
  const auto list = stories();
  GPTDoubleHeads m{.transformer = GPT2{.config = {.vocabulary = t.vocabulary_size(),
                                                  .positions = 48,
                                                  .size = 32,
                                                  .layers = 2,
                                                  .heads = 2,
                                                  .dropout = 0}},
                   .dropout = 0};
  const StoryBatch b = story_batch(t, tokens, list);
  Optimizer opt(m, Adam{.lr = 5e-3, .gclip = 1});
  double first = 0, last = 0;
  for (int i = 0; i < 90; ++i) {
    const Tape tape = diff([&] { return double_heads_loss(m, b); });
    opt.step(tape);
    last = tape.item();
    if (i == 0) first = last;
  }
  EXPECT_GT(first, 5);
  EXPECT_LT(last, 1.2);
  EXPECT_GT(accuracy(m(b.ids, b.mask), b.labels), 0.9);
}

}  // namespace
