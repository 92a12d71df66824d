// CLEVR's questions as numbers: words and answers become ids of two dictionaries, in files train.json,
// val.json and dic.json as the Julia version of MAC writes and reads them.
//
//   datasets::ClevrDictionary dictionary;
//   auto train = datasets::clevr_ids(datasets::clevr_questions("CLEVR_v1.0", Part::train), dictionary, true);
//   datasets::save_clevr_ids("train.json", train);
//   datasets::save_clevr_dictionary("dic.json", dictionary);
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "knet/data/datasets/clevr.hpp"
#include "knet/text/indexed_dict.hpp"

namespace knet::datasets {

/// Ids count from 0 here and from 1 in the files.
struct ClevrIds {
  std::string image;  ///< file name
  std::vector<std::int64_t> words;
  std::int64_t answer = -1;  ///< -1: it has none
  std::int64_t family = -1;  ///< question_family_index
};
struct ClevrDictionary {
  IndexedDict<std::string> words, answers;
  std::map<std::int64_t, std::string> families;  ///< the type of question of each family, see clevr_type
};

/// Words as WordTokenizer cuts them. With `grow` new words, answers and families enter the dictionary in the
/// order in which they come; otherwise one that is not there is a ValueError that names it and the question.
std::vector<ClevrIds> clevr_ids(const std::vector<ClevrQuestion>&, ClevrDictionary&, bool grow = false);
/// One question. ValueError for a word that is not there, and when there is none.
std::vector<std::int64_t> clevr_words(std::string_view question, const ClevrDictionary&);
/// The place of an image among those of its part, from 0: the number at the end of its file's name, as in
/// CLEVR_val_000123.png. ValueError when there is none.
std::int64_t clevr_image_index(std::string_view file);
/// The paper's five types of questions, by the last function of the program: "exist", "count", "compare
/// numbers", "query attribute", "compare attribute"; "other" for another function.
std::string clevr_type(std::string_view function);

/// [["CLEVR_train_000000.png", [1, 2, 3], 1, 0], ...]: image, words, answer (0: none), family.
void save_clevr_ids(const std::string& path, const std::vector<ClevrIds>&);
/// IoError, with the number of the question, for anything else and for ids that the dictionary does not have.
std::vector<ClevrIds> load_clevr_ids(const std::string& path, const ClevrDictionary&);
/// {"word_dic": {"how": 1, ...}, "answer_dic": {...}, "family_dic": {"0": "count", ...}}; the last is ours.
void save_clevr_dictionary(const std::string& path, const ClevrDictionary&);
/// IoError unless the ids of each are 1 ... n, each once. family_dic may be missing.
ClevrDictionary load_clevr_dictionary(const std::string& path);

}  // namespace knet::datasets
