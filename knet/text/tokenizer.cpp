#include "knet/text/tokenizer.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/tensor/factories.hpp"
#include "knet/text/json_file.hpp"

namespace knet {

const TokenTable& Tokenizer::tokens() const {
  return std::visit([](const auto& m) -> const TokenTable& { return m.tokens(); }, model);
}
std::int64_t Tokenizer::id(std::string_view t) const {
  const AddedToken* a = added.find(std::string(t));
  return a ? a->id : tokens().id(t);
}
const std::string& Tokenizer::token(std::int64_t i) const {
  const AddedToken* a = added.find(i);
  if (a) return a->content;
  if (!tokens().has_id(i))
    fail<ValueError>("Tokenizer: no token has the id ", i, " (ids are below ", vocabulary_size(), ")");
  return tokens().token(i);
}
std::int64_t Tokenizer::vocabulary_size() const {
  return std::max(tokens().end_id(), added.list().empty() ? 0 : added.list().rbegin()->first + 1);
}

std::int64_t Tokenizer::add(AddedToken t) {
  if (t.content.empty()) fail<ValueError>("Tokenizer::add: an empty token");
  const std::int64_t known = id(t.content);
  if (known >= 0 && t.id >= 0 && known != t.id)
    fail<ValueError>("Tokenizer::add: ", detail::shown(t.content), " with id ", t.id, " has the id ", known);
  if (added.find(t.content))
    fail<ValueError>("Tokenizer::add: ", detail::shown(t.content), " was added before");
  if (t.id < 0) t.id = known >= 0 ? known : vocabulary_size();
  if (t.id >= INT32_MAX) fail<ValueError>("Tokenizer::add: the id ", t.id, " is outside [0, 2^31 - 1)");
  if (known < 0 && (added.find(t.id) || tokens().has_id(t.id)))
    fail<ValueError>("Tokenizer::add: ", detail::shown(t.content), ": the id ", t.id, " belongs to ",
                     detail::shown(token(t.id)));
  const std::string search = t.normalized ? normalize(normalizers, t.content) : t.content;
  const std::int64_t r = t.id;
  added.add(std::move(t), search);
  return r;
}

// ---- encoding ----

std::vector<std::int64_t> Tokenizer::ids(std::string_view text) const {
  std::vector<std::int64_t> r;
  r.reserve(text.size() / 4 + 8);
  TextPieces pieces;
  const auto encode_plain = [&](std::string_view s, bool first) {
    pieces.list.clear(), pieces.made.clear();
    pre_tokenize(pre_tokenizers, s, first, pieces);
    std::visit(
        [&](const auto& m) {
          for (const std::string_view word : pieces.list) m.encode(word, r);
        },
        model);
  };
  for (const auto& raw : added.split(text, false)) {
    if (raw.id >= 0) {
      r.push_back(raw.id);
      continue;
    }
    const bool first = raw.text.data() == text.data();
    std::string normal;
    std::string_view s = raw.text;
    if (!normalizers.empty()) s = normal = normalize(normalizers, raw.text);
    if (!added.any(true)) {
      encode_plain(s, first);
      continue;
    }
    for (const auto& part : added.split(s, true)) {
      if (part.id >= 0)
        r.push_back(part.id);
      else
        encode_plain(part.text, first && part.text.data() == s.data());
    }
  }
  return r;
}
std::vector<std::string> Tokenizer::tokenize(std::string_view text) const {
  std::vector<std::string> r;
  for (const auto i : ids(text)) r.push_back(token(i));
  return r;
}

namespace {

using Ids = std::vector<std::int64_t>;

void keep(Ids& v, std::int64_t n, bool left) {
  const auto size = static_cast<std::int64_t>(v.size());
  if (n >= size) return;
  if (left)
    v.erase(v.begin(), v.begin() + (size - n));
  else
    v.resize(static_cast<std::size_t>(n));
}

// Shortens a and b (null for one text) to `room` tokens together.
void truncate(Ids& a, Ids* b, std::int64_t room, const TokenTruncation& t) {
  const auto n = static_cast<std::int64_t>(a.size()), m = b ? static_cast<std::int64_t>(b->size()) : 0;
  if (n + m <= room) return;
  if (t.strategy == TruncationStrategy::longest_first) {
    if (!b) return keep(a, room, t.left);
    const std::int64_t small = std::min(n, m);
    std::int64_t low = small, high = small > room ? small : std::max(small, room - small);
    if (low + high > room) low = room / 2, high = low + room % 2;
    keep(a, n > m ? high : low, t.left);
    keep(*b, n > m ? low : high, t.left);
    return;
  }
  const bool cut_first = t.strategy == TruncationStrategy::only_first;
  if (!cut_first && !b)
    fail<ValueError>("Tokenizer::encode: only the second text may be cut, and there is none");
  const std::int64_t over = n + m - room, length = cut_first ? n : m;
  if (length <= over) {
    fail<ValueError>("Tokenizer::encode: the ", cut_first ? "first" : "second", " text has ", length,
                     " tokens, too few to cut ", over);
  }
  keep(cut_first ? a : *b, length - over, t.left);
}

EncodedText combine(const Tokenizer& t, Ids a, Ids* b, const EncodeOptions& o) {
  const auto& pieces = b ? t.pair : t.single;
  const auto is_token = [](const TemplatePiece& p) { return p.kind == TemplatePiece::token; };
  if (o.max_length < -1)
    fail<ValueError>("Tokenizer::encode: max_length ", o.max_length, " (expected -1, 0 or more)");
  TokenTruncation cut = t.truncation.value_or(TokenTruncation{.max_length = -1});
  if (o.max_length != 0) cut.max_length = o.max_length;
  if (cut.max_length >= 0) {
    const auto around = o.special_tokens ? std::count_if(pieces.begin(), pieces.end(), is_token) : 0;
    if (around > cut.max_length)
      fail<ValueError>("Tokenizer::encode: max_length ", cut.max_length, " has no room for ", around,
                       " special tokens");
    truncate(a, b, cut.max_length - around, cut);
  }
  EncodedText e;
  for (const TemplatePiece& p : pieces) {
    if (is_token(p) && !o.special_tokens) continue;
    const Ids single{p.id};
    const Ids& ids = is_token(p) ? single : p.kind == TemplatePiece::first ? a : *b;
    e.ids.insert(e.ids.end(), ids.begin(), ids.end());
    e.type_ids.insert(e.type_ids.end(), ids.size(), p.type_id);
  }
  return e;
}

EncodedBatch pad(const Tokenizer& t, const std::vector<EncodedText>& rows) {
  BatchPadding p;
  bool known = t.padding.has_value();
  if (known) p = *t.padding;
  for (const char* name : {"[PAD]", "<pad>"}) {
    if (!known && t.id(name) >= 0) p.id = t.id(name), known = true;
  }
  std::int64_t longest = 0, shortest = INT64_MAX;
  for (const EncodedText& e : rows) {
    longest = std::max(longest, static_cast<std::int64_t>(e.ids.size()));
    shortest = std::min(shortest, static_cast<std::int64_t>(e.ids.size()));
  }
  std::int64_t length = std::max(longest, p.length);
  if (p.multiple_of > 0) length = (length + p.multiple_of - 1) / p.multiple_of * p.multiple_of;
  if (!known && shortest < length && !rows.empty()) {
    fail<ValueError>("Tokenizer::encode_batch: the texts have ", shortest, " to ", longest,
                     " tokens and no padding token is set (Tokenizer::padding)");
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  EncodedBatch b{full({n, length}, p.id, i64), full({n, length}, p.type_id, i64),
                 zeros({n, length}, boolean)};
  auto* ids = b.ids.data<std::int64_t>();
  auto* types = b.type_ids.data<std::int64_t>();
  auto* mask = b.mask.data<bool>();
  for (std::int64_t i = 0; i < n; ++i) {
    const EncodedText& e = rows[static_cast<std::size_t>(i)];
    const std::int64_t at = i * length + (p.left ? length - static_cast<std::int64_t>(e.ids.size()) : 0);
    std::copy(e.ids.begin(), e.ids.end(), ids + at);
    std::copy(e.type_ids.begin(), e.type_ids.end(), types + at);
    std::fill_n(mask + at, e.ids.size(), true);
  }
  return b;
}

}  // namespace

EncodedText Tokenizer::encode(std::string_view text, EncodeOptions o) const {
  return combine(*this, ids(text), nullptr, o);
}
EncodedText Tokenizer::encode(std::string_view first, std::string_view second, EncodeOptions o) const {
  Ids b = ids(second);
  return combine(*this, ids(first), &b, o);
}
EncodedBatch Tokenizer::encode_batch(const std::vector<std::string>& texts, EncodeOptions o) const {
  std::vector<EncodedText> rows;
  rows.reserve(texts.size());
  for (const auto& t : texts) rows.push_back(encode(t, o));
  return pad(*this, rows);
}
EncodedBatch Tokenizer::encode_batch(const std::vector<std::pair<std::string, std::string>>& texts,
                                     EncodeOptions o) const {
  std::vector<EncodedText> rows;
  rows.reserve(texts.size());
  for (const auto& [a, b] : texts) rows.push_back(encode(a, b, o));
  return pad(*this, rows);
}

}  // namespace knet
