#include "knet/data/datasets/glue.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <unordered_set>

#include "knet/data/datasets/text_lines.hpp"

namespace knet::datasets {
namespace {

using Names = std::vector<const char*>;
struct Task {
  const char* name;
  const char* folder;          // under GLUE's own
  std::vector<Names> columns;  // first, second if there is one; each with the names it may have
  Names label;
  std::vector<std::string> labels;  // none: scores
};

const std::vector<std::string> binary = {"0", "1"}, three = {"entailment", "neutral", "contradiction"},
                               two = {"entailment", "not_entailment"};
const Task tasks[] = {
    {"cola", "CoLA", {{"sentence"}}, {"label"}, binary},
    {"sst2", "SST-2", {{"sentence"}}, {"label"}, binary},
    {"mrpc", "MRPC", {{"#1 String"}, {"#2 String"}}, {"Quality"}, binary},
    {"qqp", "QQP", {{"question1"}, {"question2"}}, {"is_duplicate"}, binary},
    {"stsb", "STS-B", {{"sentence1"}, {"sentence2"}}, {"score"}, {}},
    {"mnli", "MNLI", {{"sentence1"}, {"sentence2"}}, {"gold_label"}, three},
    {"qnli", "QNLI", {{"question"}, {"sentence"}}, {"label"}, two},
    {"rte", "RTE", {{"sentence1"}, {"sentence2"}}, {"label"}, two},
    {"wnli", "WNLI", {{"sentence1"}, {"sentence2"}}, {"label"}, binary},
    {"snli", "SNLI", {{"sentence1"}, {"sentence2"}}, {"gold_label"}, three},
    {"diagnostic", "diagnostic", {{"sentence1", "Premise"}, {"sentence2", "Hypothesis"}}, {"Label"}, three},
};

constexpr std::size_t none = static_cast<std::size_t>(-1);
using Header = std::vector<std::string_view>;

std::size_t find_column(const Header& header, const Names& names) {
  for (const char* name : names) {
    const auto i = std::ranges::find(header, name);
    if (i != header.end()) return static_cast<std::size_t>(i - header.begin());
  }
  return none;
}

// Where the columns of one file are.
struct Layout {
  std::size_t width = 0, first = none, second = none, label = none;
};

Layout find_layout(const Task& task, const Header& header, bool labelled, const Place& place) {
  Layout l;
  l.width = header.size();
  l.first = find_column(header, task.columns[0]);
  if (task.columns.size() > 1) l.second = find_column(header, task.columns[1]);
  l.label = find_column(header, task.label);
  const char* missing = l.first == none                               ? *task.columns[0].begin()
                        : task.columns.size() > 1 && l.second == none ? *task.columns[1].begin()
                        : labelled && l.label == none                 ? *task.label.begin()
                                                                      : nullptr;
  if (missing)
    bad_line(place, "the header has no column \"", missing, "\"; this is not a file of ", task.name);
  return l;
}

void read_label(GlueRow& row, const Task& task, std::string_view s, const Place& place) {
  if (task.labels.empty()) {
    if (!to_real(s, row.score) || !(row.score >= 0 && row.score <= 5))
      bad_line(place, "score \"", excerpt(s), "\" (expected 0 to 5)");
    return;
  }
  const auto i = std::ranges::find(task.labels, s);
  if (i != task.labels.end()) {
    row.label = i - task.labels.begin();
  } else if (s != "-") {  // "-": the annotators did not agree
    std::string expected;
    for (const auto& l : task.labels) expected += (expected.empty() ? "" : ", ") + l;
    bad_line(place, "label \"", excerpt(s), "\" (expected ", expected, ')');
  }
}

const Task& find_task(std::string_view name) {
  for (const Task& t : tasks) {
    if (t.name == name) return t;
  }
  fail<ValueError>("datasets: there is no task \"", name, '"');
}

std::string where(const Task& t) { return std::string("datasets::") + t.name; }

Glue parse(const Task& task, Part part, std::string_view text, const GlueOptions& o, const std::string& name,
           const std::unordered_set<std::string>* ids = nullptr, bool keep = false) {
  const std::string who = where(task);
  Glue r;
  r.labels = task.labels;
  Lines lines(text);
  std::string_view line;
  Layout layout;
  std::size_t id1 = none, id2 = none;
  // CoLA's files have a header only where there are no labels.
  const bool bare = task.name == std::string_view("cola") && part != Part::test;
  const bool labelled = part != Part::test && task.name != std::string_view("diagnostic");
  if (bare) {
    layout = {.width = 4, .first = 3, .label = 1};
  } else {
    const Place place{who.c_str(), name, 1};
    if (!lines.next(line)) bad_line(place, "is empty (expected a header)");
    const Header header = fields_of(line, '\t');
    layout = find_layout(task, header, labelled, place);
    if (ids) {
      id1 = find_column(header, {"#1 ID"});
      id2 = find_column(header, {"#2 ID"});
      if (id1 == none || id2 == none) bad_line(place, "the header has no columns \"#1 ID\" and \"#2 ID\"");
    }
  }
  while (lines.next(line)) {
    const Place place{who.c_str(), name, lines.number()};
    const auto f = fields_of(line, '\t');
    if (f.size() != layout.width) {
      if (!o.skip_bad_rows)
        bad_line(place, f.size(), " columns (expected ", layout.width,
                 "); .skip_bad_rows leaves such lines out");
      r.skipped.push_back(lines.number());
      continue;
    }
    if (ids && ids->contains(std::string(f[id1]) + '\t' + std::string(f[id2])) != keep) continue;
    GlueRow row{.first = std::string(f[layout.first]), .line = lines.number()};
    if (layout.second != none) row.second = f[layout.second];
    if (task.labels.empty()) row.score = std::numeric_limits<double>::quiet_NaN();
    if (layout.label != none) read_label(row, task, f[layout.label], place);
    r.rows.push_back(std::move(row));
  }
  return r;
}

constexpr const char* advice = "the files are on https://gluebenchmark.com/tasks";

std::string find(const Task& task, const std::string& folder, const std::vector<std::string>& names,
                 const char* what = advice) {
  std::vector<std::string> all = names;
  for (const auto& n : names) all.push_back(std::string(task.folder) + "/" + n);
  const std::string who = where(task);
  return find_file(who.c_str(), folder, all, what);
}

Glue read(const char* name, const std::string& folder, Part part, const GlueOptions& o,
          std::vector<std::string> files, const char* what = advice) {
  const Task& task = find_task(name);
  const std::string path = find(task, folder, files, what), who = where(task);
  return parse(task, part, TextFile(who.c_str(), path).view(), o, path);
}

std::vector<std::string> usual(Part part) {
  return {part == Part::train ? "train.tsv" : part == Part::dev ? "dev.tsv" : "test.tsv"};
}

}  // namespace

Tensor Glue::y() const {
  if (labels.empty()) {
    std::vector<double> v;
    for (const GlueRow& r : rows) v.push_back(r.score);
    return Tensor(v).to(default_dtype()).to(default_device());
  }
  std::vector<std::int64_t> v;
  for (const GlueRow& r : rows) v.push_back(r.label);
  return Tensor(v).to(default_device());
}

Glue parse_glue(std::string_view task, Part part, std::string_view text, const GlueOptions& o,
                const std::string& name) {
  return parse(find_task(task), part, text, o, name);
}

Glue cola(const std::string& f, Part p, const GlueOptions& o) { return read("cola", f, p, o, usual(p)); }
Glue sst2(const std::string& f, Part p, const GlueOptions& o) { return read("sst2", f, p, o, usual(p)); }
Glue qqp(const std::string& f, Part p, const GlueOptions& o) { return read("qqp", f, p, o, usual(p)); }
Glue stsb(const std::string& f, Part p, const GlueOptions& o) { return read("stsb", f, p, o, usual(p)); }
Glue qnli(const std::string& f, Part p, const GlueOptions& o) { return read("qnli", f, p, o, usual(p)); }
Glue rte(const std::string& f, Part p, const GlueOptions& o) { return read("rte", f, p, o, usual(p)); }
Glue wnli(const std::string& f, Part p, const GlueOptions& o) { return read("wnli", f, p, o, usual(p)); }

Glue mnli(const std::string& folder, Part p, const GlueOptions& o) {
  const std::string kind = o.matched ? "matched" : "mismatched";
  return read("mnli", folder, p, o,
              {p == Part::train ? "train.tsv" : (p == Part::dev ? "dev_" : "test_") + kind + ".tsv"});
}

Glue snli(const std::string& folder, Part p, const GlueOptions& o) {
  const std::string name = p == Part::train ? "train" : p == Part::dev ? "dev" : "test";
  return read("snli", folder, p, o, {name + ".tsv", "snli_1.0_" + name + ".txt"},
              "the files are on https://nlp.stanford.edu/projects/snli");
}

Glue diagnostic(const std::string& folder, const GlueOptions& o) {
  return read("diagnostic", folder, Part::test, o, {"diagnostic-full.tsv", "diagnostic.tsv"});
}

Glue mrpc(const std::string& folder, Part p, const GlueOptions& o) {
  const Task& task = find_task("mrpc");
  const std::string who = where(task),
                    raw = p == Part::test ? "msr_paraphrase_test.txt" : "msr_paraphrase_train.txt";
  const std::string path = find(task, folder, {usual(p)[0], raw});
  const TextFile file(who.c_str(), path);
  if (p == Part::test || path.find("msr_paraphrase") == std::string::npos)
    return parse(task, p, file.view(), o, path);
  const std::string id_path =
      find(task, folder, {"mrpc_dev_ids.tsv"}, "it is at https://gluebenchmark.com/tasks");
  const TextFile id_file(who.c_str(), id_path);
  std::unordered_set<std::string> ids;
  Lines lines(id_file.view());
  for (std::string_view line; lines.next(line);) {
    if (fields_of(line, '\t').size() != 2)
      bad_line({who.c_str(), id_path, lines.number()}, "expected two ids");
    ids.emplace(line);
  }
  return parse(task, p, file.view(), o, path, &ids, p == Part::dev);
}

}  // namespace knet::datasets
