// Sentence and sentence-pair tasks: GLUE (Wang et al. 2018, arXiv:1804.07461), and SNLI (Bowman et al. 2015)
// beside it. Files are tab-separated with literal quotes; columns are found by their names in the header, for
// they differ from part to part. https://gluebenchmark.com/tasks has the files; to fetch and unpack one:
//
//   const auto folder = io::download_unpacked("https://dl.fbaipublicfiles.com/glue/data/CoLA.zip", "glue");
//   const auto trn = datasets::cola(folder, datasets::Part::train);
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

enum class Part : std::uint8_t { train, dev, test };

struct GlueRow {
  std::string first;        ///< the sentence, premise or question
  std::string second = {};  ///< the other one, where there are two
  std::int64_t label = -1;  ///< position in `labels`; -1 (ignore) where the file has none
  double score = 0;         ///< STS-B: 0 to 5, NaN where the file has none
  std::size_t line = 0;     ///< in the file, from 1
};
struct Glue {
  std::vector<std::string> labels;  ///< "0", "1" or names; empty for STS-B
  std::vector<GlueRow> rows;
  std::vector<std::size_t> skipped;  ///< lines that were left out (.skip_bad_rows)
  /// [rows] labels, i64; for STS-B scores of the default dtype.
  Tensor y() const;
};
struct GlueOptions {
  bool matched = true;  ///< MNLI: dev and test of the genres of the training data, or of others
  /// Lines with another number of columns than the header are listed in `skipped` instead of being an error.
  bool skip_bad_rows = false;
};

/// Each reads <folder>/train.tsv, dev.tsv or test.tsv, or the same in the folder that GLUE gives the task
/// (<folder>/CoLA/train.tsv), plain or .gz. IoError: a file is missing, a column is missing, a line has
/// another number of columns or a label that is not the task's.
Glue cola(const std::string& folder, Part, const GlueOptions& = {});  ///< acceptable ("1") or not
Glue sst2(const std::string& folder, Part, const GlueOptions& = {});  ///< positive ("1") or negative
/// Paraphrase ("1") or not. Also from the files of the corpus itself: msr_paraphrase_train.txt, which
/// mrpc_dev_ids.tsv divides into train and dev, and msr_paraphrase_test.txt, which has labels.
Glue mrpc(const std::string& folder, Part, const GlueOptions& = {});
Glue qqp(const std::string& folder, Part, const GlueOptions& = {});   ///< the same question ("1") or not
Glue stsb(const std::string& folder, Part, const GlueOptions& = {});  ///< how similar; `score`
Glue mnli(const std::string& folder, Part, const GlueOptions& = {});  ///< entailment, neutral, contradiction
Glue qnli(const std::string& folder, Part, const GlueOptions& = {});  ///< entailment, not_entailment
Glue rte(const std::string& folder, Part, const GlueOptions& = {});   ///< entailment, not_entailment
Glue wnli(const std::string& folder, Part, const GlueOptions& = {});  ///< "0", "1"
/// Labels as MNLI's; -1 where annotators did not agree ("-"). Also snli_1.0_train.txt and so on.
Glue snli(const std::string& folder, Part, const GlueOptions& = {});
/// GLUE's diagnostic set (diagnostic.tsv has no labels, diagnostic-full.tsv has MNLI's).
Glue diagnostic(const std::string& folder, const GlueOptions& = {});

/// A file of the named task ("cola", ... "diagnostic") from memory.
Glue parse_glue(std::string_view task, Part, std::string_view text, const GlueOptions& = {},
                const std::string& name = "memory");

}  // namespace knet::datasets
