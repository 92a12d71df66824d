// Stories of five sentences: StoryCloze, whose end is to be chosen from two, and ROCStories to train on
// (Mostafazadeh et al. 2016). https://cs.rochester.edu/nlp/rocstories gives the files to who asks.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knet::datasets {

struct ClozeStory {
  std::string id;
  std::array<std::string, 4> sentences;
  std::array<std::string, 2> endings;
  std::int64_t right =
      -1;  ///< 0 or 1: the right ending; -1 (ignore) in the test of 2018, which has no answers
};
struct RocStory {
  std::string id, title;
  std::array<std::string, 5> sentences;
};

/// The parts by their true names: there is no training part, the validation set of 2016 is what models are
/// usually fine-tuned on.
enum class ClozePart : std::uint8_t { validation2016, test2016, validation2018, test2018 };

/// From the folder's file that begins with cloze_test_val__spring2016, cloze_test_test__spring2016 and so on,
/// or from `folder` when it is a file. IoError with the line.
std::vector<ClozeStory> story_cloze(const std::string& folder, ClozePart);
/// A file ROCStories_winter2017 or ROCStories__spring2016 (CSV).
std::vector<RocStory> roc_stories(const std::string& file);
/// The same from memory.
std::vector<ClozeStory> parse_story_cloze(std::string_view text, const std::string& name = "memory");
std::vector<RocStory> parse_roc_stories(std::string_view text, const std::string& name = "memory");

}  // namespace knet::datasets
