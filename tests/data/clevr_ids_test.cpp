// CLEVR's questions as numbers, and the features' file written.
#include "knet/data/datasets/clevr_ids.hpp"

#include "knet/ops/arithmetic.hpp"
#include "knet/tensor/factories.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using namespace knet::datasets;
using io_test::error_of;
using io_test::has;

template <class F>
std::string value_error(const F& f) {
  try {
    f();
  } catch (const ValueError& e) {
    return e.what();
  }
  return "no ValueError";
}
class ClevrIdFiles : public io_test::Folder {};

TEST(ClevrIds, Functions) {
  const auto q = parse_clevr_questions(R"({"questions": [
   {"image_filename": "a_0.png", "question": "How many?", "program": [{"function": "scene", "inputs": []},
    {"function": "filter_color", "inputs": [0], "value_inputs": ["red"]}, {"inputs": [1], "function": "count"}]},
   {"program": [], "function": "no", "image_filename": "a_1.png", "question": "What?"}]})");
  EXPECT_EQ(q.at(0).function, "count");
  EXPECT_EQ(q.at(1).function, "");
  EXPECT_EQ(clevr_type("exist"), "exist");
  EXPECT_EQ(clevr_type("equal_integer"), "compare numbers");
  EXPECT_EQ(clevr_type("equal_color"), "compare attribute");
  EXPECT_EQ(clevr_type("query_size"), "query attribute");
  EXPECT_EQ(clevr_type("scene"), "other");
}
TEST(ClevrIds, WordsBecomeIds) {
  std::vector<ClevrQuestion> train{{.image = "CLEVR_train_000000.png",
                                    .question = "Is it red?",
                                    .answer = "yes",
                                    .family = 4,
                                    .function = "exist"},
                                   {.image = "CLEVR_train_000012.png",
                                    .question = "How many red?",
                                    .answer = "2",
                                    .family = 7,
                                    .function = "count"}};
  ClevrDictionary d;
  const auto ids = clevr_ids(train, d, true);
  EXPECT_EQ(d.words.size(), 6u);
  EXPECT_EQ(ids[0].words, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(ids[1].words, (std::vector<std::int64_t>{4, 5, 2, 3}));
  EXPECT_EQ(ids[1].answer, 1);
  EXPECT_EQ(d.families.at(7), "count");
  EXPECT_EQ(clevr_words("red red", d), (std::vector<std::int64_t>{2, 2}));
  EXPECT_TRUE(
      has(value_error([&] { clevr_words("Is it green?", d); }), "the word 'green' of 'Is it green?'"));
  EXPECT_TRUE(has(value_error([&] { clevr_words(" ", d); }), "empty"));
  train[0].answer = "maybe";
  EXPECT_TRUE(has(value_error([&] { clevr_ids(train, d); }), "the answer 'maybe'"));
  EXPECT_EQ(clevr_image_index("x/CLEVR_val_000123.png"), 123);
  EXPECT_EQ(clevr_image_index("7"), 7);
  EXPECT_THROW(clevr_image_index("CLEVR.png"), ValueError);
}
TEST_F(ClevrIdFiles, IdsAndDictionaries) {
  ClevrDictionary d;
  d.words = {"how", "\"many\"", "\xc3\xa7"}, d.answers = {"yes", "no"},
  d.families = {{0, "count"}, {12, "exist"}};
  save_clevr_dictionary(path("dic.json"), d);
  const ClevrDictionary e = load_clevr_dictionary(path("dic.json"));
  EXPECT_EQ(e.words.element(1), "\"many\"");
  EXPECT_EQ(e.words.size(), 3u);
  EXPECT_EQ(e.answers.id("no"), 1);
  EXPECT_EQ(e.families, d.families);
  save_clevr_ids(path("train.json"), {{"a_0.png", {0, 2, 1}, 1, 12}, {"a_1.png", {2}, -1, -1}});
  EXPECT_EQ(io_test::read(path("train.json")),
            "[\n[\"a_0.png\", [1, 3, 2], 2, 12],\n[\"a_1.png\", [3], 0, -1]\n]\n");
  const auto ids = load_clevr_ids(path("train.json"), d);
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[0].words, (std::vector<std::int64_t>{0, 2, 1}));
  EXPECT_EQ(ids[0].answer, 1);
  EXPECT_EQ(ids[1].answer, -1);
  // As the Julia program writes it, without our third dictionary.
  io_test::write(path("old.json"), R"({"answer_dic":{"no":2,"yes":1},"word_dic":{"b":2,"a":1}})");
  EXPECT_EQ(load_clevr_dictionary(path("old.json")).words.element(0), "a");
  const auto bad_ids = [&](const std::string& s) {
    io_test::write(path("bad.json"), s);
    return error_of([&] { load_clevr_ids(path("bad.json"), d); });
  };
  EXPECT_TRUE(has(bad_ids("{"), "bad.json"));
  EXPECT_TRUE(has(bad_ids("{}"), "no array"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[1],1,0],["a",[4],1,0]])"), "question 2: word 4 is not from 1 to 3"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[0],1,0]])"), "word 0"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[],1,0]])"), "no words"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[1.5],1,0]])"), "word 1.5"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[1],3,0]])"), "answer 3"));
  EXPECT_TRUE(has(bad_ids(R"([["a",[1],1]])"), "question 1: expected [image"));
  const auto bad_dictionary = [&](const std::string& s) {
    io_test::write(path("bad.json"), s);
    return error_of([&] { load_clevr_dictionary(path("bad.json")); });
  };
  EXPECT_TRUE(has(bad_dictionary("[]"), "no object"));
  EXPECT_TRUE(has(bad_dictionary(R"({"word_dic":{"a":1}})"), "answer_dic"));
  EXPECT_TRUE(has(bad_dictionary(R"({"word_dic":{"a":1,"b":1},"answer_dic":{}})"), "1 to 2, each once"));
  EXPECT_TRUE(has(bad_dictionary(R"({"word_dic":{"a":"x"},"answer_dic":{}})"), "no integer"));
  EXPECT_TRUE(has(bad_dictionary(R"({"word_dic":{},"answer_dic":{},"family_dic":{"x":"y"}})"), "family_dic"));
}
TEST_F(ClevrIdFiles, FeaturesAreWritten) {
  {
    ClevrFeatureWriter w(path("w.bin"));
    w.write(arange(8).to(f32).reshape({2, 2, 2}));
    w.write((arange(16) + 8.0).to(f32).reshape({2, 2, 2, 2}));
    EXPECT_THROW(w.write(zeros({1}, f64)), DTypeError);
    w.commit();
    ClevrFeatureWriter never(path("never.bin"));
    never.write(zeros({4}));
  }
  EXPECT_THROW(ClevrFeatures(path("never.bin"), {4}), IoError);
  const ClevrFeatures f(path("w.bin"), {2, 2, 2});
  ASSERT_EQ(f.size(), 3u);
  EXPECT_EQ(f[2].flatten().to_vector<float>(), (std::vector<float>{16, 17, 18, 19, 20, 21, 22, 23}));
}

}  // namespace
