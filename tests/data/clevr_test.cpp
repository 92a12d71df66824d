// CLEVR's questions and features; Sort-of-CLEVR's answers, found again from the pixels alone.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "knet/knet.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using namespace knet::datasets;
using io_test::error_of;
using io_test::has;

const std::string json = R"({"info": {"split": "val", "questions": 3}, "questions": [
 {"image_index": 0, "program": [{"inputs": [], "function": "scene", "value_inputs": ["question"]}, {"answer": "no"}],
  "question_index": 0, "image_filename": "CLEVR_val_000000.png", "question_family_index": 2, "split": "val",
  "answer": "no", "question": "Are there any other things\u003f"},
 {"question": "How many?", "image_filename": "CLEVR_val_000012.png", "answer": "3", "image_index": 12,
  "question_family_index": 85},
 {"question": "What?", "image_filename": "CLEVR_test_000001.png", "image_index": 1}], "more": [[1]]})";

TEST(Clevr, Questions) {
  const auto q = parse_clevr_questions(json);
  ASSERT_EQ(q.size(), 3u);
  EXPECT_EQ(q[0].image, "CLEVR_val_000000.png");
  EXPECT_EQ(q[0].question, "Are there any other things?");
  EXPECT_EQ(q[0].answer, "no");
  EXPECT_EQ(q[0].family, 2);
  EXPECT_EQ(q[1].image_index, 12);
  EXPECT_EQ(q[1].answer, "3");
  EXPECT_EQ(q[2].answer, "");
  EXPECT_EQ(q[2].family, -1);
  EXPECT_EQ(parse_clevr_questions(json, 2).size(), 2u);
  EXPECT_EQ(parse_clevr_questions(R"({"questions": []})").size(), 0u);
}
TEST(Clevr, BadQuestions) {
  const auto e = [](const std::string& s) { return error_of([&] { parse_clevr_questions(s, -1, "f"); }); };
  EXPECT_TRUE(has(e(json.substr(0, 400)), "f: byte"));
  EXPECT_TRUE(has(e("[]"), "no array \"questions\""));
  EXPECT_TRUE(has(e(""), "f: byte"));
  EXPECT_TRUE(has(e(R"({"questions": [{"question": "a"}]})"), "question 1 has no image_filename"));
  EXPECT_TRUE(has(e(R"({"questions": [7]})"), "question 1 is not an object"));
  EXPECT_TRUE(has(e(std::string(100000, '[')), "f: byte"));
  EXPECT_THROW(parse_clevr_questions(json, 0), ValueError);
}

class ClevrFiles : public io_test::Folder {};
TEST_F(ClevrFiles, QuestionsAndFeatures) {
  std::filesystem::create_directories(path("questions"));
  io_test::write(path("questions/CLEVR_val_questions.json"), json);
  EXPECT_EQ(clevr_questions(folder, Part::dev).size(), 3u);
  const std::string e = error_of([&] { clevr_questions(folder, Part::train); });
  EXPECT_TRUE(has(e, "CLEVR_train_questions.json") && has(e, "CLEVR_v1.0.zip"));
  std::vector<float> v(3 * 8);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
  io_test::write(path("f.bin"), std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * 4));
  const ClevrFeatures f(path("f.bin"), {2, 2, 2});
  EXPECT_EQ(f.size(), 3u);
  EXPECT_EQ(f[2](1, 0, 1).item(), 21);
  EXPECT_THROW(f[3], ValueError);
  // It is a source: batches of images by question.
  for (const Tensor& b : prefetch(minibatch(f, 2, {.partial = true}), {.workers = 2})) EXPECT_EQ(b.ndim(), 4);
  EXPECT_TRUE(
      has(error_of([&] { ClevrFeatures(path("f.bin"), {5}); }), "96 bytes (expected a multiple of 20"));
}

// What a person sees: for each colour, where it is and which shape.
struct Seen {
  std::int64_t x = 0, y = 0;
  bool circle = false;
};
std::vector<Seen> look(const Tensor& image) {
  const std::map<std::array<int, 3>, std::size_t> colours = {{{255, 0, 0}, 0},     {{0, 255, 0}, 1},
                                                             {{0, 0, 255}, 2},     {{255, 156, 0}, 3},
                                                             {{128, 128, 128}, 4}, {{255, 255, 0}, 5}};
  const auto p = image.view<std::uint8_t, 3>();
  std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> pixels(6);
  for (std::int64_t y = 0; y < 75; ++y) {
    for (std::int64_t x = 0; x < 75; ++x) {
      const std::array<int, 3> c = {p(0, y, x), p(1, y, x), p(2, y, x)};
      if (c == std::array<int, 3>{255, 255, 255}) continue;
      pixels[colours.at(c)].emplace_back(x, y);
    }
  }
  std::vector<Seen> r(6);
  for (std::size_t k = 0; k < 6; ++k) {
    const auto n = static_cast<std::int64_t>(pixels[k].size());
    for (const auto& [x, y] : pixels[k]) r[k].x += x, r[k].y += y;
    r[k].x /= n, r[k].y /= n;
    r[k].circle = n != 121;  // a square of 11 x 11; a circle has 81
    EXPECT_TRUE(n == 121 || n == 81) << n;
  }
  return r;
}
// The answer in words, from the question in words.
std::string reply(const std::vector<Seen>& seen, const std::string& question) {
  const char* names[] = {"red", "green", "blue", "orange", "grey", "yellow"};
  std::size_t of = 6;
  for (std::size_t k = 0; k < 6; ++k) {
    if (question.find(std::string("the ") + names[k] + " object") != std::string::npos) of = k;
  }
  const Seen& o = seen.at(of);
  const auto says = [&](const char* s) { return question.find(s) != std::string::npos; };
  const auto shape = [](const Seen& s) { return std::string(s.circle ? "circle" : "square"); };
  if (says("left")) return o.x < 75 - 1 - o.x ? "yes" : "no";
  if (says("upper")) return o.y < 75 - 1 - o.y ? "yes" : "no";
  if (says("How many")) {
    int n = 0;
    for (const Seen& s : seen) n += s.circle == o.circle;
    return std::to_string(n);
  }
  if (!says("closest") && !says("furthest")) return shape(o);
  std::multimap<double, std::string> by_distance;
  for (std::size_t k = 0; k < 6; ++k) {
    if (k != of)
      by_distance.emplace(
          std::hypot(static_cast<double>(seen[k].x - o.x), static_cast<double>(seen[k].y - o.y)),
          shape(seen[k]));
  }
  return says("closest") ? by_distance.begin()->second : std::prev(by_distance.end())->second;
}

TEST(SortOfClevr, AnswersAgreeWithThePixels) {
  const std::int64_t n = 150;
  const SortOfClevr d = sort_of_clevr(n, 3);
  EXPECT_EQ(d.images.shape(), (Shape{n, 3, 75, 75}));
  EXPECT_EQ(d.questions.shape(), (Shape{n, 20, 11}));
  EXPECT_EQ(d.answers.shape(), (Shape{n, 20}));
  for (std::int64_t i = 0; i < n; ++i) {
    const auto seen = look(d.images(i));
    for (std::int64_t k = 0; k < 6; ++k) {
      EXPECT_EQ(d.objects(i, k, 0).item<std::int64_t>(), seen[static_cast<std::size_t>(k)].x);
      EXPECT_EQ(d.objects(i, k, 1).item<std::int64_t>(), seen[static_cast<std::size_t>(k)].y);
    }
    std::set<std::string> asked;
    for (std::int64_t q = 0; q < 20; ++q) {
      const Tensor bits = d.questions(i, q);
      EXPECT_EQ(bits(6).item(), q < 10 ? 1 : 0);
      EXPECT_EQ(bits.sum().item(), 3);
      const std::string text = sort_of_clevr_text(bits);
      asked.insert(text);
      EXPECT_EQ(sort_of_clevr_answers.at(d.answers(i, q).item<std::size_t>()), reply(seen, text)) << text;
    }
    EXPECT_EQ(asked.size(), 20u);
  }
}

TEST(SortOfClevr, AnswersAreBalanced) {
  const SortOfClevr d = sort_of_clevr(1500, 8);
  const auto bits = d.questions.to_vector<float>();
  const auto answers = d.answers.to_vector<std::int64_t>();
  std::map<int, std::map<std::int64_t, double>> count;  // kind and subtype, answer
  std::vector<double> colours(6);
  for (std::size_t q = 0; q < answers.size(); ++q) {
    const float* b = &bits[q * 11];
    const int subtype = b[8] > 0 ? 0 : b[9] > 0 ? 1 : 2;
    ++count[(b[7] > 0 ? 3 : 0) + subtype][answers[q]];
    for (std::size_t k = 0; k < 6; ++k) colours[k] += b[k];
  }
  for (const double c : colours) EXPECT_NEAR(c, 5000, 250);
  for (auto& [kind, of] : count) {
    double all = 0;
    for (const auto& [a, c] : of) all += c;
    EXPECT_NEAR(all, 5000, 250);
    if (kind != 5) {
      EXPECT_EQ(of.size(), 2u);  // either answer half of the time
      for (const auto& [a, c] : of) EXPECT_NEAR(c / all, 0.5, 0.03);
    } else {
      // Itself and as many of the five others as fair coins give: 1, 5, 10, 10, 5, 1 of 32.
      const double expected[] = {1, 5, 10, 10, 5, 1};
      for (std::int64_t a = 4; a < 10; ++a) EXPECT_NEAR(of[a] / all, expected[a - 4] / 32, 0.03);
    }
  }
}

TEST(SortOfClevr, FromASeed) {
  const SortOfClevr a = sort_of_clevr(5, 1), b = sort_of_clevr(8, 1), c = sort_of_clevr(5, 2);
  EXPECT_TRUE(equal(a.images, b.images.narrow(0, 0, 5)));
  EXPECT_TRUE(equal(a.questions, b.questions.narrow(0, 0, 5)));
  EXPECT_TRUE(equal(a.answers, b.answers.narrow(0, 0, 5)));
  EXPECT_FALSE(equal(a.images, c.images));
  EXPECT_THROW(sort_of_clevr(0, 1), ValueError);
  EXPECT_THROW(sort_of_clevr_text(zeros({11})), ValueError);
  EXPECT_THROW(sort_of_clevr_text(zeros({10})), ShapeError);
  EXPECT_EQ(sort_of_clevr_text(a.questions(0, 0)).back(), '?');
}

}  // namespace
