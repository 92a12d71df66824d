#include "knet/data/datasets/stories.hpp"

#include <algorithm>
#include <filesystem>

#include "knet/data/datasets/csv.hpp"
#include "knet/data/datasets/text_lines.hpp"

namespace knet::datasets {
namespace {

namespace fs = std::filesystem;

// Everything is text, and nothing is missing.
Table read_texts(std::string_view text, const std::string& name) {
  CsvOptions o{.missing = {}};
  // Names are needed to say that a column is text: the header, read alone.
  o.limit = 0;
  const Table header = parse_csv(text, o, name);
  for (const Column& c : header.columns) o.types.emplace_back(c.name, ColumnType::text);
  o.limit = -1;
  return parse_csv(text, o, name);
}

const std::vector<std::string>& column(const Table& t, const std::string& name, const char* who,
                                       const std::string& file) {
  for (const Column& c : t.columns) {
    if (c.name == name) return c.texts;
  }
  fail<IoError>(who, ": ", file, ": there is no column \"", name, '"');
}

std::string find_story_file(const std::string& folder, const std::string& start) {
  std::error_code error;
  if (fs::is_regular_file(folder, error)) return folder;
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(start)) found.push_back(entry.path().string());
  }
  if (found.empty())
    fail<IoError>("datasets::story_cloze: ", folder, ": there is no file ", start,
                  "*.csv; https://cs.rochester.edu/nlp/rocstories gives it to who asks");
  return *std::ranges::min_element(found);
}

}  // namespace

std::vector<ClozeStory> parse_story_cloze(std::string_view text, const std::string& name) {
  const char* who = "datasets::story_cloze";
  const Table t = read_texts(text, name);
  const bool answers = std::ranges::find(t.columns, "AnswerRightEnding", &Column::name) != t.columns.end();
  std::vector<ClozeStory> r(t.rows);
  const auto& ids = column(t, "InputStoryid", who, name);
  for (std::size_t i = 0; i < t.rows; ++i) r[i].id = ids[i];
  for (std::size_t k = 0; k < 4; ++k) {
    const auto& c = column(t, "InputSentence" + std::to_string(k + 1), who, name);
    for (std::size_t i = 0; i < t.rows; ++i) r[i].sentences[k] = c[i];
  }
  for (std::size_t k = 0; k < 2; ++k) {
    const auto& c = column(t, "RandomFifthSentenceQuiz" + std::to_string(k + 1), who, name);
    for (std::size_t i = 0; i < t.rows; ++i) r[i].endings[k] = c[i];
  }
  if (!answers) return r;
  const auto& c = column(t, "AnswerRightEnding", who, name);
  for (std::size_t i = 0; i < t.rows; ++i) {
    const std::string_view a = trimmed(c[i]);
    if (a != "1" && a != "2")
      fail<IoError>(who, ": ", name, ": story ", i + 1, ": right ending \"", excerpt(a),
                    "\" (expected 1 or 2)");
    r[i].right = a == "1" ? 0 : 1;
  }
  return r;
}

std::vector<RocStory> parse_roc_stories(std::string_view text, const std::string& name) {
  const char* who = "datasets::roc_stories";
  const Table t = read_texts(text, name);
  std::vector<RocStory> r(t.rows);
  const auto& ids = column(t, "storyid", who, name);
  const auto& titles = column(t, "storytitle", who, name);
  for (std::size_t i = 0; i < t.rows; ++i) r[i].id = ids[i], r[i].title = titles[i];
  for (std::size_t k = 0; k < 5; ++k) {
    const auto& c = column(t, "sentence" + std::to_string(k + 1), who, name);
    for (std::size_t i = 0; i < t.rows; ++i) r[i].sentences[k] = c[i];
  }
  return r;
}

std::vector<ClozeStory> story_cloze(const std::string& folder, ClozePart part) {
  const char* starts[] = {"cloze_test_val__spring2016", "cloze_test_test__spring2016",
                          "cloze_test_val__winter2018", "cloze_test_test__winter2018"};
  const std::string path = find_story_file(folder, starts[static_cast<std::size_t>(part)]);
  return parse_story_cloze(TextFile("datasets::story_cloze", path).view(), path);
}

std::vector<RocStory> roc_stories(const std::string& file) {
  return parse_roc_stories(TextFile("datasets::roc_stories", file).view(), file);
}

}  // namespace knet::datasets
