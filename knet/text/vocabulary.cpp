#include "knet/text/vocabulary.hpp"

#include <algorithm>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/tensor/factories.hpp"
#include "knet/text/json_file.hpp"

namespace knet {

Vocabulary::Vocabulary(const IndexedDict<std::string>& words, VocabularyOptions o) : o_(std::move(o)) {
  tokens_.append(o_.specials);
  if (tokens_.size() != o_.specials.size()) fail<ValueError>("Vocabulary: a special token is there twice");
  const std::pair<const char*, const std::string*> roles[] = {
      {"pad", &o_.pad}, {"unknown", &o_.unknown}, {"begin", &o_.begin}, {"end", &o_.end}};
  for (const auto& [role, token] : roles) {
    if ((!token->empty() || token == &o_.pad) && !tokens_.contains(*token))
      fail<ValueError>("Vocabulary: ", role, " is \"", *token, "\", which is not among the special tokens");
  }
  tokens_.append(words);
}

std::int64_t Vocabulary::id(const std::string& token) const {
  const std::int64_t i = tokens_.get(token, -1);
  if (i >= 0) return i;
  if (o_.unknown.empty())
    fail<ValueError>("Vocabulary: ", detail::shown(token),
                     " is not in it, and there is no token for unknown words");
  return tokens_.id(o_.unknown);
}
std::vector<std::int64_t> Vocabulary::encode(const std::vector<std::string>& sentence) const {
  std::vector<std::int64_t> r;
  r.reserve(sentence.size() + 2);
  if (!o_.begin.empty()) r.push_back(tokens_.id(o_.begin));
  for (const std::string& t : sentence) r.push_back(id(t));
  if (!o_.end.empty()) r.push_back(tokens_.id(o_.end));
  return r;
}
std::vector<std::string> Vocabulary::decode(const std::vector<std::int64_t>& ids, bool specials) const {
  std::vector<std::string> r;
  for (const std::int64_t i : ids) {
    const std::string& t = token(i);
    if (specials || (t != o_.pad && (o_.begin.empty() || t != o_.begin) && (o_.end.empty() || t != o_.end)))
      r.push_back(t);
  }
  return r;
}
TokenBatch Vocabulary::encode_batch(const std::vector<std::vector<std::string>>& sentences,
                                    std::int64_t max_length) const {
  const std::int64_t least = (o_.begin.empty() ? 0 : 1) + (o_.end.empty() ? 0 : 1);
  if (max_length < 0 || (max_length > 0 && max_length < least))
    fail<ValueError>("Vocabulary::encode_batch: max_length ", max_length, " (expected 0, or at least ", least,
                     ")");
  std::vector<std::vector<std::int64_t>> rows;
  rows.reserve(sentences.size());
  std::int64_t longest = 0;
  for (const auto& s : sentences) {
    rows.push_back(encode(s));
    auto& row = rows.back();
    if (max_length > 0 && static_cast<std::int64_t>(row.size()) > max_length) {
      const std::int64_t last = row.back();
      row.resize(static_cast<std::size_t>(max_length));
      if (!o_.end.empty()) row.back() = last;
    }
    longest = std::max(longest, static_cast<std::int64_t>(row.size()));
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  TokenBatch b{full({n, longest}, pad_id(), i64), zeros({n, longest}, boolean), {}};
  auto* ids = b.ids.data<std::int64_t>();
  auto* mask = b.mask.data<bool>();
  for (std::int64_t i = 0; i < n; ++i) {
    const auto& row = rows[static_cast<std::size_t>(i)];
    std::copy(row.begin(), row.end(), ids + i * longest);
    std::fill_n(mask + i * longest, row.size(), true);
    b.lengths.push_back(static_cast<std::int64_t>(row.size()));
  }
  return b;
}
std::vector<std::vector<std::string>> Vocabulary::decode_batch(const Tensor& ids, bool specials) const {
  if (ids.ndim() != 2) fail<ShapeError>("Vocabulary::decode_batch: ", ids.shape(), " (expected [B, T])");
  if (ids.dtype() != i64 && ids.dtype() != i32)
    fail<DTypeError>("Vocabulary::decode_batch: ids are ", ids.dtype(), " (expected i64 or i32)");
  const auto all = ids.to_vector<std::int64_t>();
  std::vector<std::vector<std::string>> r;
  const std::int64_t t = ids.size(1);
  for (std::int64_t i = 0; i < ids.size(0); ++i)
    r.push_back(decode(std::vector<std::int64_t>(all.begin() + i * t, all.begin() + (i + 1) * t), specials));
  return r;
}

void VocabularyBuilder::add(const std::vector<std::string>& sentence) {
  for (const std::string& w : sentence) ++counts_[w];
}
void VocabularyBuilder::add(const std::string& word, std::int64_t count) {
  if (count < 0) fail<ValueError>("VocabularyBuilder: a count of ", count);
  counts_[word] += count;
}
Vocabulary VocabularyBuilder::build(VocabularyOptions o) const {
  if (o.max_size < 0) fail<ValueError>("VocabularyBuilder: max_size ", o.max_size, " (expected 0 or more)");
  using Entry = std::pair<const std::string*, std::int64_t>;
  std::vector<Entry> order;
  for (const auto& [word, count] : counts_) {
    if (count >= o.min_count && std::find(o.specials.begin(), o.specials.end(), word) == o.specials.end())
      order.emplace_back(&word, count);
  }
  std::sort(order.begin(), order.end(), [](const Entry& a, const Entry& b) {
    return a.second != b.second ? a.second > b.second : *a.first < *b.first;
  });
  std::size_t keep = order.size();
  if (o.max_size > 0) {
    const auto limit = static_cast<std::size_t>(o.max_size);
    if (limit < o.specials.size())
      fail<ValueError>("VocabularyBuilder: max_size ", o.max_size, " has no room for ", o.specials.size(),
                       " special tokens");
    keep = std::min(keep, limit - o.specials.size());
  }
  IndexedDict<std::string> words;
  for (std::size_t i = 0; i < keep; ++i) words.push_back(*order[i].first);
  return Vocabulary(words, std::move(o));
}

void save_vocabulary(const std::string& path, const Vocabulary& v) {
  const auto& o = v.options();
  const char* who = "save_vocabulary";
  const auto field = [&](const char* name, const std::string& s) {
    return "\"" + std::string(name) + "\": " + detail::json_text(who, path, s) + ",\n";
  };
  detail::write_text(path, "{\n\"format\": \"knet vocabulary\",\n\"version\": 1,\n" + field("pad", o.pad) +
                               field("unknown", o.unknown) + field("begin", o.begin) + field("end", o.end) +
                               "\"specials\": " + std::to_string(o.specials.size()) + ",\n\"tokens\": " +
                               detail::json_list(who, path, {v.tokens().begin(), v.tokens().end()}) +
                               "\n}\n");
}
Vocabulary load_vocabulary(const std::string& path) {
  const detail::JsonFile f("load_vocabulary", path);
  const auto& top = f.object(f.root, "the file",
                             {"format", "version", "pad", "unknown", "begin", "end", "specials", "tokens"});
  f.expect(top, "format", "knet vocabulary");
  f.expect_version(top, 1);
  const auto tokens = f.strings(top, "tokens");
  const std::int64_t specials = f.integer(top, "specials");
  if (specials > static_cast<std::int64_t>(tokens.size()))
    f.bad("counts ", specials, " special tokens among ", tokens.size());
  VocabularyOptions o{.specials = {tokens.begin(), tokens.begin() + specials},
                      .pad = f.string(top, "pad"),
                      .unknown = f.string(top, "unknown"),
                      .begin = f.string(top, "begin"),
                      .end = f.string(top, "end")};
  try {
    Vocabulary v(IndexedDict<std::string>(tokens), std::move(o));
    if (v.size() != tokens.size()) f.bad("a token is there twice");
    return v;
  } catch (const ValueError& e) {
    f.bad(e.what());
  }
}

}  // namespace knet
