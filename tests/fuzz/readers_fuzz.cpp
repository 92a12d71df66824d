// libFuzzer: the readers of text data sets. The first byte chooses one; the rest is the file. Any bytes give
// rows or an Error, and no more rows than the bytes justify; what CoNLL-U gives reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "knet/base/error.hpp"
#include "knet/data/datasets/clevr.hpp"
#include "knet/data/datasets/conllu.hpp"
#include "knet/data/datasets/csv.hpp"
#include "knet/data/datasets/glue.hpp"
#include "knet/data/datasets/stories.hpp"
#include "knet/data/datasets/translation.hpp"
#include "knet/data/datasets/trmor.hpp"

namespace {
using namespace knet::datasets;

constexpr const char* tasks[] = {"cola", "sst2", "mrpc", "qqp",  "stsb",      "mnli",
                                 "qnli", "rte",  "wnli", "snli", "diagnostic"};

void require(bool ok) {
  if (!ok) std::abort();
}

void read(unsigned choice, std::string_view text) {
  switch (choice % 8) {
    case 0: {
      const Table t =
          parse_csv(text, {.header = choice % 16 < 8, .comment = '#', .skip_bad_rows = choice >= 128});
      require(t.rows <= text.size() && t.columns.size() <= text.size() + 1);
      for (const Column& c : t.columns) require(c.missing.size() == t.rows);
      break;
    }
    case 1:
      require(parse_csv(text, {.separator = '\t', .quote = 0, .header = false}).rows <= text.size());
      break;
    case 2: {
      const auto s = parse_conllu(text);
      const std::string again = to_conllu(s);
      require(to_conllu(parse_conllu(again)) == again);
      break;
    }
    case 3: {
      for (const auto& s : parse_trmor(text).sentences) {
        require(!s.words.empty());
        for (const auto& w : s.words) require(!w.analyses.empty());
      }
      break;
    }
    case 4: {
      const Glue g = parse_glue(tasks[choice / 8 % 11], static_cast<Part>(choice % 3), text,
                                {.skip_bad_rows = choice >= 128});
      require(g.rows.size() + g.skipped.size() <= text.size());
      break;
    }
    case 5: {
      require(clean_iwslt_tags(text).size() <= text.size());
      require(clean_iwslt_xml(text).size() <= text.size());
      break;
    }
    case 6: require(parse_clevr_questions(text).size() <= text.size()); break;
    default: {
      if (choice >= 128)
        require(parse_roc_stories(text).size() <= text.size());
      else
        require(parse_story_cloze(text).size() <= text.size());
    }
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], {reinterpret_cast<const char*>(data + 1), size - 1});
  } catch (const knet::Error&) {
  }
  return 0;
}
