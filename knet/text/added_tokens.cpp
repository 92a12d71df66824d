#include <algorithm>
#include <functional>

#include "knet/text/tokenizer.hpp"
#include "knet/text/unicode.hpp"

namespace knet {

void AddedTokens::add(AddedToken token, const std::string& search) {
  if (!search.empty()) {
    Group& group = groups_[token.normalized];
    group.ids.emplace(search, token.id);
    auto& lengths = group.lengths[static_cast<unsigned char>(search[0])];
    const auto place = std::lower_bound(lengths.begin(), lengths.end(), search.size(), std::greater<>());
    if (place == lengths.end() || *place != search.size()) lengths.insert(place, search.size());
  }
  by_content_.emplace(token.content, token.id);
  list_.emplace(token.id, std::move(token));
}

const AddedToken* AddedTokens::find(std::int64_t id) const {
  const auto at = list_.find(id);
  return at == list_.end() ? nullptr : &at->second;
}
const AddedToken* AddedTokens::find(const std::string& content) const {
  const auto at = by_content_.find(content);
  return at == by_content_.end() ? nullptr : find(at->second);
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized) const {
  const Group& group = groups_[normalized];
  std::vector<Part> r;
  if (group.ids.empty()) {
    if (!text.empty()) r.push_back({text, -1});
    return r;
  }
  const auto word_at = [&](std::size_t i) {
    return i < text.size() && unicode::kinds(unicode::decode(text, i)) & unicode::word;
  };
  const auto blank = [&](std::size_t i) {
    return (unicode::kinds(unicode::decode(text, i)) & unicode::space) != 0;
  };
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::int64_t id = -1;
    std::size_t length = 0;
    for (const std::size_t n : group.lengths[static_cast<unsigned char>(text[i])]) {
      if (n > text.size() - i) continue;
      const auto found = group.ids.find(std::string(text.substr(i, n)));
      if (found != group.ids.end()) {
        id = found->second, length = n;
        break;
      }
    }
    if (id < 0) {
      ++i;
      continue;
    }
    const AddedToken& t = *find(id);
    std::size_t begin = i, stop = i + length;
    i = stop;
    if (t.single_word && (word_at(stop) || (begin > 0 && word_at(unicode::previous(text, begin))))) continue;
    while (t.lstrip && begin > done && blank(unicode::previous(text, begin)))
      begin = unicode::previous(text, begin);
    while (t.rstrip && stop < text.size() && blank(stop)) stop += unicode::decode(text, stop).bytes;
    if (begin < done) begin = done;
    if (begin > done) r.push_back({text.substr(done, begin - done), -1});
    r.push_back({text.substr(begin, stop - begin), t.id});
    done = stop;
    i = std::max(i, stop);
  }
  if (done < text.size()) r.push_back({text.substr(done), -1});
  return r;
}

}  // namespace knet
