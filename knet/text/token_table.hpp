// The tokens of a tokenizer and their ids, in both directions; made for looking up parts of a text without a
// copy. Ids may have gaps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knet {

class TokenTable {
 public:
  /// The id of a token, or -1.
  std::int64_t id(std::string_view token) const;
  bool contains(std::string_view token) const { return id(token) >= 0; }
  bool has_id(std::int64_t id) const;
  /// The token of an id; ValueError when there is none.
  const std::string& token(std::int64_t id) const;
  /// Adds a token with the next id; gives the id, also of one that is there.
  std::int64_t add(std::string_view token);
  /// Adds a token with this id (0 to 2^31 - 2). ValueError when either is taken.
  void add(std::string_view token, std::int64_t id);
  /// How many tokens there are.
  std::size_t size() const { return count_; }
  /// One more than the largest id.
  std::int64_t end_id() const { return static_cast<std::int64_t>(tokens_.size()); }
  /// Bytes of the longest token.
  std::size_t longest() const { return longest_; }

 private:
  std::size_t slot(std::string_view token) const;

  std::vector<std::string> tokens_;  // by id; an unused id has an empty text
  std::vector<bool> used_;
  std::vector<std::int32_t> slots_;  // open addressing; -1 is free
  std::size_t count_ = 0, longest_ = 0;
};

}  // namespace knet
