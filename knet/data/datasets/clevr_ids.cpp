#include "knet/data/datasets/clevr_ids.hpp"

#include <nlohmann/json.hpp>

#include "knet/data/datasets/text_lines.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/text/words.hpp"

namespace knet::datasets {
namespace {

using Int = std::int64_t;
using nlohmann::json;

json parsed(const char* who, const std::string& path) {
  const TextFile file(who, path);
  try {
    return json::parse(file.view());
  } catch (const json::exception& e) {
    fail<IoError>(who, ": ", path, ": ", e.what());
  }
}

std::string quoted(const char* who, const std::string& s) {
  try {
    return json(s).dump();
  } catch (const json::exception&) {
    fail<ValueError>(who, ": '", excerpt(s), "' is not UTF-8");
  }
}

void write(const std::string& path, const std::string& content) {
  io::write_file(path, std::as_bytes(std::span(content)));
}

IndexedDict<std::string> dictionary(const std::string& path, const json& file, const char* name) {
  const char* who = "load_clevr_dictionary";
  const auto it = file.find(name);
  if (it == file.end() || !it->is_object())
    fail<IoError>(who, ": ", path, ": there is no object \"", name, '"');
  std::map<std::string, Int> ids;
  for (const auto& [element, id] : it->items()) {
    if (!id.is_number_integer())
      fail<IoError>(who, ": ", path, ": ", name, ": the id of '", excerpt(element), "' is no integer");
    ids[element] = id.get<Int>() - 1;
  }
  try {
    return IndexedDict<std::string>(ids);
  } catch (const ValueError&) {
    fail<IoError>(who, ": ", path, ": ", name, ": the ids are not 1 to ", ids.size(), ", each once");
  }
}

}  // namespace

std::string clevr_type(std::string_view function) {
  if (function == "exist" || function == "count") return std::string(function);
  if (function == "equal_integer" || function == "less_than" || function == "greater_than")
    return "compare numbers";
  if (function.starts_with("query_")) return "query attribute";
  if (function.starts_with("equal_")) return "compare attribute";
  return "other";
}

Int clevr_image_index(std::string_view file) {
  const std::size_t dot = file.rfind('.'), end = dot == std::string_view::npos ? file.size() : dot;
  std::size_t begin = end;
  while (begin > 0 && end - begin < 6 && file[begin - 1] >= '0' && file[begin - 1] <= '9') --begin;
  Int n = 0;
  if (!to_integer(file.substr(begin, end - begin), n))
    fail<ValueError>("clevr_image_index: '", excerpt(file), "' does not end with a number");
  return n;
}

std::vector<Int> clevr_words(std::string_view question, const ClevrDictionary& d) {
  std::vector<Int> ids;
  for (const std::string& w : WordTokenizer{}(question)) {
    const Int id = d.words.get(w, -1);
    if (id < 0)
      fail<ValueError>("clevr_words: the word '", excerpt(w), "' of '", excerpt(question, 200),
                       "' is not in the dictionary of ", d.words.size());
    ids.push_back(id);
  }
  if (ids.empty()) fail<ValueError>("clevr_words: the question is empty");
  return ids;
}

std::vector<ClevrIds> clevr_ids(const std::vector<ClevrQuestion>& questions, ClevrDictionary& d, bool grow) {
  std::vector<ClevrIds> all;
  all.reserve(questions.size());
  for (const ClevrQuestion& q : questions) {
    if (grow) {
      d.words.append(WordTokenizer{}(q.question));
      if (!q.answer.empty()) d.answers.push_back(q.answer);
      if (q.family >= 0 && !q.function.empty()) d.families.emplace(q.family, clevr_type(q.function));
    }
    ClevrIds ids{.image = q.image, .words = clevr_words(q.question, d), .family = q.family};
    if (!q.answer.empty()) {
      ids.answer = d.answers.get(q.answer, -1);
      if (ids.answer < 0)
        fail<ValueError>("clevr_ids: the answer '", excerpt(q.answer), "' of '", excerpt(q.question, 200),
                         "' is not in the dictionary of ", d.answers.size());
    }
    all.push_back(std::move(ids));
  }
  return all;
}

void save_clevr_ids(const std::string& path, const std::vector<ClevrIds>& questions) {
  std::string out = "[";
  for (const ClevrIds& q : questions) {
    out += (out.size() > 1 ? ",\n[" : "\n[") + quoted("save_clevr_ids", q.image) + ", [";
    for (std::size_t i = 0; i < q.words.size(); ++i)
      out += (i > 0 ? ", " : "") + std::to_string(q.words[i] + 1);
    out += "], " + std::to_string(q.answer + 1) + ", " + std::to_string(q.family) + "]";
  }
  write(path, out + "\n]\n");
}

std::vector<ClevrIds> load_clevr_ids(const std::string& path, const ClevrDictionary& d) {
  const char* who = "load_clevr_ids";
  const json file = parsed(who, path);
  if (!file.is_array()) fail<IoError>(who, ": ", path, ": is no array of questions");
  std::vector<ClevrIds> all;
  all.reserve(file.size());
  const auto check = [&](bool right, const auto&... what) {
    if (!right) fail<IoError>(who, ": ", path, ": question ", all.size() + 1, ": ", what...);
  };
  const auto id = [&](const json& j, Int least, Int most, const char* what) {
    check(j.is_number_integer() && j.get<Int>() >= least && j.get<Int>() <= most, what, ' ',
          excerpt(j.dump(-1, ' ', false, json::error_handler_t::replace)), " is not from ", least, " to ",
          most);
    return j.get<Int>();
  };
  for (const json& q : file) {
    check(q.is_array() && q.size() == 4 && q[0].is_string() && q[1].is_array(),
          "expected [image, [words], answer, family]");
    ClevrIds ids{.image = q[0].get<std::string>(), .words = {}};
    check(!q[1].empty(), "it has no words");
    for (const json& w : q[1]) ids.words.push_back(id(w, 1, static_cast<Int>(d.words.size()), "word") - 1);
    ids.answer = id(q[2], 0, static_cast<Int>(d.answers.size()), "answer") - 1;
    ids.family = id(q[3], -1, Int{1} << 40, "family");
    all.push_back(std::move(ids));
  }
  return all;
}

void save_clevr_dictionary(const std::string& path, const ClevrDictionary& d) {
  const char* who = "save_clevr_dictionary";
  std::string out = "{";
  const auto object = [&](const char* name, const IndexedDict<std::string>& dict) {
    out += (out.size() > 1 ? ",\n\"" : "\"") + std::string(name) + "\": {";
    Int id = 0;
    for (const std::string& e : dict) {
      out += (id > 0 ? ", " : "") + quoted(who, e);
      out += ": " + std::to_string(++id);
    }
    out += "}";
  };
  object("word_dic", d.words);
  object("answer_dic", d.answers);
  out += ",\n\"family_dic\": {";
  bool first = true;
  for (const auto& [family, type] : d.families) {
    out += (first ? "\"" : ", \"") + std::to_string(family) + "\": " + quoted(who, type);
    first = false;
  }
  write(path, out + "}}\n");
}

ClevrDictionary load_clevr_dictionary(const std::string& path) {
  const char* who = "load_clevr_dictionary";
  const json file = parsed(who, path);
  if (!file.is_object()) fail<IoError>(who, ": ", path, ": is no object");
  ClevrDictionary d;
  d.words = dictionary(path, file, "word_dic");
  d.answers = dictionary(path, file, "answer_dic");
  if (const auto it = file.find("family_dic"); it != file.end()) {
    for (const auto& [number, type] : it->items()) {
      Int family = 0;
      if (!to_integer(number, family) || !type.is_string())
        fail<IoError>(who, ": ", path, ": family_dic: '", excerpt(number), "' is no number with a text");
      d.families[family] = type.get<std::string>();
    }
  }
  return d;
}

}  // namespace knet::datasets
