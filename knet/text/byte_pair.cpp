#include "knet/text/byte_pair.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <queue>
#include <unordered_map>

#include "knet/base/text.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/unicode.hpp"

namespace knet {
namespace {

constexpr std::uint32_t no_rank = UINT32_MAX;
constexpr std::size_t short_word = 48;

std::uint64_t key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}
std::size_t hash(std::uint64_t k) { return (k * 0x9E3779B97F4A7C15u) >> 29; }

// Visible Latin characters stand for themselves, the other bytes follow from U+0100 on.
char32_t character_of(int byte) {
  const auto visible = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  if (visible(byte)) return static_cast<char32_t>(byte);
  char32_t n = 256;
  for (int b = 0; b < byte; ++b) n += !visible(b);
  return n;
}

}  // namespace

const std::array<std::string, 256>& byte_alphabet() {
  static const auto alphabet = [] {
    std::array<std::string, 256> a;
    for (int b = 0; b < 256; ++b) unicode::append(a[static_cast<std::size_t>(b)], character_of(b));
    return a;
  }();
  return alphabet;
}
int byte_of(char32_t c) {
  static const auto bytes = [] {
    std::array<std::int16_t, 512> r;
    r.fill(-1);
    for (int b = 0; b < 256; ++b) r[character_of(b)] = static_cast<std::int16_t>(b);
    return r;
  }();
  return c < bytes.size() ? bytes[c] : -1;
}

BytePair::BytePair(TokenTable tokens, const std::vector<Merge>& merges, BytePairOptions o)
    : tokens_(std::move(tokens)), o_(std::move(o)) {
  const auto id = [&](const std::string& t) { return static_cast<std::int32_t>(tokens_.id(t)); };
  if (!o_.unknown.empty() && (unknown_ = id(o_.unknown)) < 0)
    fail<ValueError>("BytePair: the unknown token ", detail::shown(o_.unknown), " is not among the tokens");
  rules_.assign(std::bit_ceil(2 * merges.size() + 2), Rule{0, no_rank, -1});
  merges_.reserve(merges.size());
  for (const auto& [left, right] : merges) {
    const std::string_view rest =
        std::string_view(right).substr(right.starts_with(o_.prefix) ? o_.prefix.size() : 0);
    const std::string made = left + std::string(rest);
    const std::int32_t a = id(left), b = id(right), c = id(made);
    if (a < 0 || b < 0 || c < 0) {
      fail<ValueError>("BytePair: merge ", merges_.size() + 1, " of ", detail::shown(left), " and ",
                       detail::shown(right), ": ",
                       detail::shown(a < 0   ? left
                                     : b < 0 ? right
                                             : made),
                       " is not among the tokens");
    }
    const std::size_t mask = rules_.size() - 1;
    std::size_t i = hash(key(a, b)) & mask;
    while (rules_[i].rank != no_rank && rules_[i].pair != key(a, b)) i = (i + 1) & mask;
    rules_[i] = {key(a, b), static_cast<std::uint32_t>(merges_.size()), c};
    merges_.emplace_back(a, b);
  }
  for (std::size_t b = 0; b < 256; ++b) {
    const std::string& c = byte_alphabet()[b];
    bytes_[0][b] = id(o_.prefix + c);
    bytes_[1][b] = id(o_.prefix + c + o_.suffix);
    bytes_[2][b] = id(c);
    bytes_[3][b] = id(c + o_.suffix);
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(b));
    fallback_[b] = id(name);
  }
}

std::vector<BytePair::Merge> BytePair::merges() const {
  std::vector<Merge> r;
  r.reserve(merges_.size());
  for (const auto& [a, b] : merges_) r.emplace_back(tokens_.token(a), tokens_.token(b));
  return r;
}

const BytePair::Rule* BytePair::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t k = key(left, right);
  const std::size_t mask = rules_.size() - 1;
  for (std::size_t i = hash(k) & mask;; i = (i + 1) & mask) {
    if (rules_[i].rank == no_rank) return nullptr;
    if (rules_[i].pair == k) return &rules_[i];
  }
}

// The ids of the characters or bytes.
void BytePair::symbols(std::string_view word, std::vector<std::int32_t>& to) const {
  bool last_unknown = false;
  std::string token;
  for (std::size_t i = 0; i < word.size();) {
    const auto d = o_.byte_level ? unicode::Decoded{static_cast<unsigned char>(word[i]), 1, true}
                                 : unicode::decode(word, i);
    const bool first = i == 0, last = i + d.bytes == word.size();
    std::int32_t id;
    if (o_.byte_level) {
      id = bytes_[(first ? 2u : 0u) + (last ? 1u : 0u)][d.value];
    } else {
      token.assign(first ? "" : o_.prefix).append(word, i, d.bytes).append(last ? o_.suffix : "");
      id = static_cast<std::int32_t>(tokens_.id(token));
    }
    if (id < 0 && o_.byte_fallback && !o_.byte_level) {
      const auto at = [&](std::size_t k) { return fallback_[static_cast<unsigned char>(word[i + k])]; };
      bool all = true;
      for (std::size_t k = 0; k < d.bytes; ++k) all = all && at(k) >= 0;
      if (all) {
        for (std::size_t k = 0; k < d.bytes; ++k) to.push_back(at(k));
        last_unknown = false;
        i += d.bytes;
        continue;
      }
    }
    if (id < 0) {
      if (unknown_ < 0) {
        fail<ValueError>("BytePair: no token for ", detail::shown(word.substr(i, d.bytes)),
                         ", and there is no token for unknown characters");
      }
      if (!(last_unknown && o_.fuse_unknown)) to.push_back(unknown_);
      last_unknown = true;
    } else {
      to.push_back(id);
      last_unknown = false;
    }
    i += d.bytes;
  }
}

// The lowest rank first, of equals the leftmost.
void BytePair::merge_short(std::int32_t* ids, std::size_t n, std::vector<std::int64_t>& to) const {
  std::array<std::uint32_t, short_word> ranks;
  std::array<std::int32_t, short_word> made;
  const auto look = [&](std::size_t i) {
    const Rule* r = i + 1 < n ? find(ids[i], ids[i + 1]) : nullptr;
    ranks[i] = r ? r->rank : no_rank;
    made[i] = r ? r->made : -1;
  };
  for (std::size_t i = 0; i < n; ++i) look(i);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == no_rank) break;
    ids[best] = made[best];
    for (std::size_t i = best + 1; i + 1 < n; ++i)
      ids[i] = ids[i + 1], ranks[i] = ranks[i + 1], made[i] = made[i + 1];
    --n;
    look(best);
    if (best > 0) look(best - 1);
  }
  to.insert(to.end(), ids, ids + n);
}

// The same with a heap and a linked list.
void BytePair::merge_long(const std::vector<std::int32_t>& ids, std::vector<std::int64_t>& to) const {
  constexpr std::size_t none = SIZE_MAX;
  struct Symbol {
    std::int32_t id;
    std::size_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::size_t at;
    std::int32_t left, right, made;
    bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
  };
  std::vector<Symbol> s(ids.size());
  std::priority_queue<Candidate> queue;
  const auto look = [&](std::size_t i) {
    if (i == none || s[i].next == none) return;
    const std::int32_t a = s[i].id, b = s[s[i].next].id;
    if (const Rule* r = find(a, b)) queue.push({r->rank, i, a, b, r->made});
  };
  for (std::size_t i = 0; i < ids.size(); ++i)
    s[i] = {ids[i], i == 0 ? none : i - 1, i + 1 == ids.size() ? none : i + 1};
  for (std::size_t i = 0; i < ids.size(); ++i) look(i);
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Symbol& a = s[c.at];
    if (a.id != c.left || a.next == none || s[a.next].id != c.right)
      continue;  // one of the two was merged since
    Symbol& b = s[a.next];
    a.id = c.made;
    b.id = -1;
    a.next = b.next;
    if (a.next != none) s[a.next].previous = c.at;
    look(c.at);
    look(a.previous);
  }
  for (std::size_t i = 0; i != none; i = s[i].next) to.push_back(s[i].id);
}

void BytePair::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
  if (word.empty()) return;
  if (o_.byte_level && !o_.ignore_merges && word.size() <= short_word) {
    std::array<std::int32_t, short_word> short_ids;
    bool known = true;
    const std::size_t n = word.size();
    for (std::size_t i = 0; i < n; ++i) {
      const auto b = static_cast<unsigned char>(word[i]);
      short_ids[i] = bytes_[(i == 0 ? 2u : 0u) + (i + 1 == n ? 1u : 0u)][b];
      known = known && short_ids[i] >= 0;
    }
    if (known) return merge_short(short_ids.data(), n, ids);
  }
  if (o_.ignore_merges) {
    std::string name;
    if (o_.byte_level && word.size() <= tokens_.longest()) {
      for (const char c : word) name += byte_alphabet()[static_cast<unsigned char>(c)];
    }
    const std::int64_t id = tokens_.id(o_.byte_level ? std::string_view(name) : word);
    if (id >= 0 && (!o_.byte_level || !name.empty())) {
      ids.push_back(id);
      return;
    }
  }
  std::vector<std::int32_t> start;
  start.reserve(word.size());
  symbols(word, start);
  if (start.empty()) return;
  if (start.size() <= short_word)
    merge_short(start.data(), start.size(), ids);
  else
    merge_long(start, ids);
}

}  // namespace knet
