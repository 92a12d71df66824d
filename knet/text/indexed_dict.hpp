// A vocabulary in both directions: elements (words, characters ...) to ids from 0, and back.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "knet/base/error.hpp"

namespace knet {

namespace detail {
[[noreturn]] void missing_element(const std::string& element);
[[noreturn]] void missing_id(std::int64_t id, std::size_t size);
[[noreturn]] void bad_vocabulary(const char* what);
[[noreturn]] void bad_element(const std::string& path, const std::string& element);

/// An element as text, for messages and files.
template <class T>
std::string element_text(const T& e) {
  if constexpr (std::convertible_to<const T&, std::string>) {
    return e;
  } else if constexpr (requires(std::ostream & o) { o << e; }) {
    std::ostringstream s;
    s << e;
    return s.str();
  } else {
    return "(an element)";
  }
}
void save_elements(const std::string& path, const std::vector<std::string>& elements);
std::vector<std::string> load_elements(const std::string& path);
std::string char_text(char c);
char char_of_text(const std::string& path, const std::string& text);
}  // namespace detail

/// IndexedDict<std::string> words{"this", "is"};  words["is"] == 1, words[0] == "this". An element is in it
/// once; what comes again keeps its first id. Elements are of any type with a hash, not integers.
template <class T, class Hash = std::hash<T>>
requires(!std::integral<T> || std::same_as<T, char>) class IndexedDict {
 public:
  using value_type = T;
  IndexedDict() = default;
  IndexedDict(std::initializer_list<T> elements) { append(elements); }
  explicit IndexedDict(const std::vector<T>& elements) { append(elements); }
  /// The inverse of a map to the ids 0 .. n - 1, each once.
  explicit IndexedDict(const std::map<T, std::int64_t>& ids) {
    std::vector<const T*> order(ids.size());
    for (const auto& [element, id] : ids) {
      if (id < 0 || id >= static_cast<std::int64_t>(ids.size()) || order[static_cast<std::size_t>(id)])
        detail::bad_vocabulary("the ids of the map are not 0 .. n - 1, each once");
      order[static_cast<std::size_t>(id)] = &element;
    }
    for (const T* e : order) push_back(*e);
  }

  /// The element of an id; ValueError when there is none.
  const T& element(std::int64_t id) const {
    if (id < 0 || id >= static_cast<std::int64_t>(elements_.size())) detail::missing_id(id, elements_.size());
    return elements_[static_cast<std::size_t>(id)];
  }
  /// The id of an element; ValueError when it is not there.
  std::int64_t id(const T& element) const {
    const auto it = ids_.find(element);
    if (it == ids_.end()) detail::missing_element(detail::element_text(element));
    return it->second;
  }
  /// The same for many.
  std::vector<T> elements(const std::vector<std::int64_t>& ids) const {
    std::vector<T> r;
    for (const auto i : ids) r.push_back(element(i));
    return r;
  }
  std::vector<std::int64_t> ids(const std::vector<T>& elements) const {
    std::vector<std::int64_t> r;
    for (const T& e : elements) r.push_back(id(e));
    return r;
  }
  /// The id, or `otherwise` when it is not there.
  std::int64_t get(const T& element, std::int64_t otherwise) const {
    const auto it = ids_.find(element);
    return it == ids_.end() ? otherwise : it->second;
  }
  bool contains(const T& element) const { return ids_.contains(element); }
  const T& operator[](std::int64_t i) const requires(!std::same_as<T, char>) { return element(i); }
  std::int64_t operator[](const T& e) const requires(!std::same_as<T, char>) { return id(e); }

  /// Adds it when it is new; gives its id.
  std::int64_t push_back(const T& element) {
    const auto [it, fresh] = ids_.emplace(element, static_cast<std::int64_t>(elements_.size()));
    if (fresh) elements_.push_back(element);
    return it->second;
  }
  /// Adds all of a range, or of another dictionary.
  template <class R>
  void append(const R& range) {
    for (const T& e : range) push_back(e);
  }
  std::size_t size() const { return elements_.size(); }
  auto begin() const { return elements_.begin(); }
  auto end() const { return elements_.end(); }

 private:
  std::vector<T> elements_;
  std::unordered_map<T, std::int64_t, Hash> ids_;
};

/// Writes the elements in order, as a JSON file that people can read and edit; the old file stays whole if
/// anything fails. Elements are strings, characters, or anything that is written with `<<` and read with
/// `>>`. ValueError when one is not UTF-8; IoError.
template <class T, class H>
void save_dict(const std::string& path, const IndexedDict<T, H>& dict) {
  std::vector<std::string> texts;
  texts.reserve(dict.size());
  for (const T& e : dict) {
    if constexpr (std::same_as<T, char>)
      texts.push_back(detail::char_text(e));
    else
      texts.push_back(detail::element_text(e));
  }
  detail::save_elements(path, texts);
}
/// auto words = load_dict<std::string>("words.json");  IoError, with the file and what was expected, for
/// anything that save_dict does not write, and for elements that are there twice.
template <class T, class H = std::hash<T>>
IndexedDict<T, H> load_dict(const std::string& path) {
  IndexedDict<T, H> dict;
  for (const std::string& s : detail::load_elements(path)) {
    const std::size_t before = dict.size();
    if constexpr (std::same_as<T, char>) {
      dict.push_back(detail::char_of_text(path, s));
    } else if constexpr (std::constructible_from<T, const std::string&>) {
      dict.push_back(T(s));
    } else {
      std::istringstream in(s);
      T e;
      if (!(in >> e) || in.peek() != std::istringstream::traits_type::eof()) detail::bad_element(path, s);
      dict.push_back(e);
    }
    if (dict.size() == before) detail::bad_element(path, s);
  }
  return dict;
}

}  // namespace knet
