#include "knet/models/morse_files.hpp"

#include <nlohmann/json.hpp>
#include <span>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/model_file.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/io/tensor_file.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/text/json_file.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using knet::detail::JsonFile;
using nlohmann::json;
using Dict = IndexedDict<std::string>;

constexpr const char* key = "knet.morse";

std::vector<std::string> list_of(const Dict& d) { return {d.begin(), d.end()}; }

Dict dict_of(const JsonFile& f, const char* field) {
  Dict d;
  for (const std::string& s : f.strings(f.root, field)) {
    const std::size_t before = d.size();
    d.push_back(s);
    if (d.size() == before) f.bad("\"", field, "\" has ", knet::detail::shown(s), " twice");
  }
  return d;
}
template <std::size_t N>
std::array<Int, N> sizes_of(const JsonFile& f, const char* field) {
  const json& list = f.list(f.root, field);
  std::array<Int, N> r{};
  if (list.size() != N) f.bad("\"", field, "\" has ", list.size(), " numbers, expected ", N);
  for (std::size_t i = 0; i < N; ++i) {
    if (!list[i].is_number_integer() || list[i] < 1 || list[i] > 1'000'000)
      f.bad("\"", field, "\": expected numbers from 1 to 1000000");
    r[i] = list[i].template get<Int>();
  }
  return r;
}
MorseConfig config_of(const JsonFile& f) {
  MorseConfig c;
  try {
    c.type = morse_type(f.string(f.root, "type"));
  } catch (const ValueError& e) {
    f.bad(e.what());
  }
  c.hidden = sizes_of<4>(f, "hidden");
  c.embed = sizes_of<2>(f, "embed");
  const json& dropout = f.at(f.root, "dropout");
  c.dropout = dropout.is_number() ? dropout.get<double>() : -1;
  if (!(c.dropout >= 0 && c.dropout < 1)) f.bad("\"dropout\": expected a number in [0, 1)");
  c.previous = f.integer(f.root, "previous");
  c.drop_state = f.boolean(f.root, "drop_state", false);
  return c;
}
MorseVocabulary vocabulary_of(const JsonFile& f) {
  MorseVocabulary v;
  const std::string format = f.string(f.root, "data"), language = f.string(f.root, "language");
  if (format != "conllu" && format != "trmor")
    f.bad("\"data\" is ", knet::detail::shown(format), ", expected \"conllu\" or \"trmor\"");
  if (language != "any" && language != "turkish")
    f.bad("\"language\" is ", knet::detail::shown(language), ", expected \"any\" or \"turkish\"");
  v.format = format == "conllu" ? MorseFormat::conllu : MorseFormat::trmor;
  v.language = language == "any" ? unicode::Language::any : unicode::Language::turkish;
  v.lemma = f.boolean(f.root, "lemma", true);
  v.characters = dict_of(f, "characters");
  v.letters = dict_of(f, "letters");
  v.tags = dict_of(f, "tags");
  v.words = dict_of(f, "words");
  v.composites = dict_of(f, "composites");
  for (const json& n : f.list(f.root, "composite_counts")) {
    if (!n.is_number_integer() || n < 0) f.bad("\"composite_counts\": expected numbers from 0");
    v.composite_counts.push_back(n.get<Int>());
  }
  if (v.composite_counts.size() != v.composites.size())
    f.bad(v.composite_counts.size(), " counts of ", v.composites.size(), " composites");
  return v;
}

/// The sizes first: a small file makes no large model.
void check_sizes(const std::string& path, const MorseConfig& c, const MorseSizes& s) {
  const io::TensorFile file(path);
  const auto expect = [&](const char* name, const Shape& shape) {
    const io::TensorInfo* t = file.find(name);
    if (!t) fail<IoError>("load_morse: ", path, ": there is no ", name, " in it");
    if (t->shape != shape)
      fail<IoError>("load_morse: ", path, ": ", name, " is ", t->shape, ", expected ", shape);
  };
  const auto& h = c.hidden;
  expect("character_embed.weight", {s.inputs(), c.embed[0]});
  expect("character_lstm.weight_hh_l0", {4 * h[0], h[0]});
  if (c.type != MorseType::s2s) expect("context_lstm.weight_hh_l0", {4 * h[1], h[1]});
  if (c.type == MorseType::classifier) return expect("output.weight", {s.classes(), h[2] + h[0]});
  expect("symbol_embed.weight", {s.symbols(), c.embed[1]});
  expect("decoder1.weight_hh_l0", {4 * h[2], h[2]});
  if (c.type == MorseType::morse || c.type == MorseType::morse_dis)
    expect("tag_lstm.weight_hh_l0", {4 * h[3], h[3]});
}

/// Rows of `to` whose element both dictionaries have become those of `from`; `first` are where the elements
/// begin. Gives how many.
Int copy_rows(const Dict& from_dict, const Dict& to_dict, Int from_first, Int to_first, const Param& from,
              Param& to) {
  std::vector<Int> source, target;
  for (Int i = 0; i < static_cast<Int>(to_dict.size()); ++i) {
    const Int j = from_dict.get(to_dict[i], -1);
    if (j < 0) continue;
    source.push_back(from_first + j);
    target.push_back(to_first + i);
  }
  if (source.empty()) return 0;
  Tensor t = to;
  const Tensor ids(target);
  t.ref(ids) = index_select(from, 0, Tensor(source));
  to = t;
  return static_cast<Int>(source.size());
}
void copy_specials(const Param& from, Param& to) {
  Tensor t = to;
  t.ref(slice(0, morse_symbol::count)) = Tensor(from)(slice(0, morse_symbol::count));
  to = t;
}

}  // namespace

void save_morse(const std::string& path, const Morse& m, const MorseVocabulary& v) {
  if (m.sizes != v.sizes()) fail<ValueError>("save_morse: the vocabulary is not the model's");
  const MorseConfig& c = m.config;
  const json j = {{"format", "knet morse"},
                  {"version", 1},
                  {"type", morse_type_name(c.type)},
                  {"hidden", c.hidden},
                  {"embed", c.embed},
                  {"dropout", c.dropout},
                  {"previous", c.previous},
                  {"drop_state", c.drop_state},
                  {"data", v.format == MorseFormat::conllu ? "conllu" : "trmor"},
                  {"language", v.language == unicode::Language::any ? "any" : "turkish"},
                  {"lemma", v.lemma},
                  {"characters", list_of(v.characters)},
                  {"letters", list_of(v.letters)},
                  {"tags", list_of(v.tags)},
                  {"words", list_of(v.words)},
                  {"composites", list_of(v.composites)},
                  {"composite_counts", v.composite_counts}};
  io::save_safetensors(path, named_tensors(m), {{key, j.dump()}});
}

MorseWithVocabulary load_morse(const std::string& path) {
  const io::Metadata metadata = io::load_metadata(path);
  const auto it = metadata.find(key);
  if (it == metadata.end())
    fail<IoError>("load_morse: ", path, ": it holds no Morse model (written by save_morse)");
  const JsonFile f("load_morse", path, it->second);
  f.object(f.root, "the metadata",
           {"format", "version", "type", "hidden", "embed", "dropout", "previous", "drop_state", "data",
            "language", "lemma", "characters", "letters", "tags", "words", "composites", "composite_counts"});
  f.expect(f.root, "format", "knet morse");
  f.expect_version(f.root, 1);
  const MorseConfig config = config_of(f);
  MorseVocabulary v = vocabulary_of(f);
  check_sizes(path, config, v.sizes());
  MorseWithVocabulary r{Morse{.config = config, .sizes = v.sizes()}, std::move(v)};
  load(path, r.model);
  return r;
}

void write_morse(const std::string& path, const MorseVocabulary& v,
                 const std::vector<MorseSentence>& sentences,
                 const std::vector<std::vector<MorseAnalysis>>& predictions) {
  const auto words_of = [&](std::size_t i) -> const std::vector<MorseWord>& {
    const auto& words = sentences[i].words;
    if (i >= predictions.size() || predictions[i].size() != words.size())
      fail<ValueError>("write_morse: the predictions do not have the words of sentence ", i);
    return words;
  };
  if (v.format == MorseFormat::trmor) {
    std::string out;
    for (std::size_t i = 0; i < sentences.size(); ++i) {
      const auto& words = words_of(i);
      out += "<S>\t<S>+BSTag\n";
      for (std::size_t k = 0; k < words.size(); ++k)
        out += words[k].form + "\t" + to_text(predictions[i][k]) + "\n";
      out += "</S>\t</S>+ESTag\n";
    }
    return io::write_file(path, std::as_bytes(std::span(out)));
  }
  std::vector<datasets::ConlluSentence> file;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const auto& words = words_of(i);
    std::string line = sentences[i].text;
    if (line.empty())
      for (const MorseWord& w : words) line += (line.empty() ? "" : " ") + w.form;
    datasets::ConlluSentence s{.comments = {" text = " + line}, .tokens = {}};
    for (std::size_t k = 0; k < words.size(); ++k) {
      const MorseAnalysis& a = predictions[i][k];
      datasets::ConlluToken t{.id = static_cast<Int>(k) + 1,
                              .form = words[k].form,
                              .lemma = v.lemma && !a.lemma.empty() ? a.lemma : "X"};
      for (const std::string& tag : a.tags) {
        const std::size_t equals = tag.find('=');
        if (tag.starts_with("Upos="))
          t.upos = tag.substr(5);
        else if (equals != std::string::npos)
          t.feats.emplace_back(tag.substr(0, equals), tag.substr(equals + 1));
      }
      s.tokens.push_back(std::move(t));
    }
    file.push_back(std::move(s));
  }
  datasets::write_conllu(path, file);
}

MorseTransfer morse_transfer(const MorseWithVocabulary& from, Morse& to, const MorseVocabulary& v) {
  const MorseConfig &a = from.model.config, &b = to.config;
  const char* who = "morse_transfer";
  if (a.type == MorseType::classifier || b.type == MorseType::classifier)
    fail<ValueError>(who, ": a classifier's lists of tags have nothing in common with another's");
  if (a.hidden != b.hidden || a.embed != b.embed)
    fail<ValueError>(who, ": .hidden or .embed of the two models differ");
  if (to.sizes != v.sizes()) fail<ValueError>(who, ": the vocabulary is not the model's");
  const NamedParams source = named_params(const_cast<Morse&>(from.model)), target = named_params(to);
  if (source.size() != target.size())
    fail<ValueError>(who, ": ", morse_type_name(a.type), " has other parameters than ",
                     morse_type_name(b.type));
  for (std::size_t i = 0; i < source.size(); ++i) {
    const std::string& name = target[i].name;
    if (source[i].name != name) fail<ValueError>(who, ": ", source[i].name, " beside ", name);
    if (!name.starts_with("character_embed") && !name.starts_with("symbol_embed") &&
        !name.starts_with("output"))
      *target[i].param = Tensor(*source[i].param);
  }
  MorseTransfer r;
  const Morse& m = from.model;
  const MorseVocabulary& u = from.vocabulary;
  const Int n = morse_symbol::count;
  copy_specials(m.character_embed.weight, to.character_embed.weight);
  r.characters =
      copy_rows(u.characters, v.characters, n, n, m.character_embed.weight, to.character_embed.weight);
  const auto symbols = [&](const Param& x, Param& y) {
    copy_specials(x, y);
    r.letters = copy_rows(u.letters, v.letters, n, n, x, y);
    r.tags = copy_rows(u.tags, v.tags, m.sizes.first_tag(), to.sizes.first_tag(), x, y);
  };
  symbols(m.symbol_embed->weight, to.symbol_embed->weight);
  symbols(m.output.weight, to.output.weight);
  symbols(m.output.bias, to.output.bias);
  return r;
}

}  // namespace knet::models
