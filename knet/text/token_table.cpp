#include "knet/text/token_table.hpp"

#include <algorithm>
#include <bit>
#include <functional>

#include "knet/base/text.hpp"

namespace knet {

// Where the token is, or the free place where it belongs. There is always a free one.
std::size_t TokenTable::slot(std::string_view token) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = std::hash<std::string_view>{}(token)&mask;
  while (slots_[i] >= 0 && tokens_[static_cast<std::size_t>(slots_[i])] != token) i = (i + 1) & mask;
  return i;
}
std::int64_t TokenTable::id(std::string_view token) const {
  if (count_ == 0 || token.size() > longest_) return -1;
  return slots_[slot(token)];
}
bool TokenTable::has_id(std::int64_t id) const {
  return id >= 0 && id < end_id() && used_[static_cast<std::size_t>(id)];
}
const std::string& TokenTable::token(std::int64_t id) const {
  if (!has_id(id))
    fail<ValueError>("TokenTable: no token has the id ", id, " (ids are below ", end_id(), ")");
  return tokens_[static_cast<std::size_t>(id)];
}
std::int64_t TokenTable::add(std::string_view token) {
  const std::int64_t known = id(token);
  if (known >= 0) return known;
  add(token, end_id());
  return end_id() - 1;
}
void TokenTable::add(std::string_view token, std::int64_t id) {
  if (id < 0 || id >= INT32_MAX) fail<ValueError>("TokenTable: the id ", id, " is outside [0, 2^31 - 1)");
  if (has_id(id)) fail<ValueError>("TokenTable: the id ", id, " is there twice");
  if (contains(token)) fail<ValueError>("TokenTable: the token \"", std::string(token), "\" is there twice");
  if (2 * (count_ + 1) > slots_.size()) {
    slots_.assign(std::bit_ceil(std::max<std::size_t>(16, 4 * (count_ + 1))), -1);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (used_[i]) slots_[slot(tokens_[i])] = static_cast<std::int32_t>(i);
    }
  }
  const auto at = static_cast<std::size_t>(id);
  if (at >= tokens_.size()) tokens_.resize(at + 1), used_.resize(at + 1);
  // The slot first: it compares with tokens that are there.
  const std::size_t place = slot(token);
  tokens_[at] = token;
  used_[at] = true;
  slots_[place] = static_cast<std::int32_t>(id);
  longest_ = std::max(longest_, token.size());
  ++count_;
}

}  // namespace knet
