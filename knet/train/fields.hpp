// What a plain value is made of: numbers, texts, tensors and vectors of them, found by reflection and named
// by their path. Checkpoints write and read values in this way.
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/base/reflect.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::detail {

/// Reads or writes each leaf of a value.
struct FieldVisitor {
  std::string path;
  virtual ~FieldVisitor() = default;
  virtual void boolean(bool&) = 0;
  /// An integer of 1, 2, 4 or 8 bytes.
  virtual void integer(void*, int bytes, bool is_signed) = 0;
  virtual void real(double&) = 0;
  virtual void text(std::string&) = 0;
  virtual void tensor(Tensor&) = 0;
  virtual void integers(std::vector<std::int64_t>&) = 0;
  virtual void reals(std::vector<double>&) = 0;
  virtual void texts(std::vector<std::string>&) = 0;
};

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_named = false;
template <class T>
inline constexpr bool is_named<std::pair<std::string, T>> = true;

template <class T>
void visit_fields(T& x, FieldVisitor& v);

template <class T>
void visit_at(std::string_view name, T& x, FieldVisitor& v) {
  const auto n = v.path.size();
  v.path += '.';
  v.path += name;
  visit_fields(x, v);
  v.path.resize(n);
}
template <class T>
void visit_vector(std::vector<T>& x, FieldVisitor& v) {
  if constexpr (std::same_as<T, double>) {
    v.reals(x);
  } else if constexpr (std::same_as<T, std::int64_t>) {
    v.integers(x);
  } else if constexpr (std::same_as<T, std::string>) {
    v.texts(x);
  } else if constexpr (std::is_arithmetic_v<T>) {
    std::vector<std::conditional_t<std::is_integral_v<T>, std::int64_t, double>> wide(x.begin(), x.end());
    visit_vector(wide, v);
    x.clear();
    for (const auto y : wide) x.push_back(static_cast<T>(y));
  } else {  // as many as the value has already
    for (std::size_t i = 0; i < x.size(); ++i) {
      if constexpr (is_named<T>)
        visit_at(x[i].first, x[i].second, v);
      else
        visit_at(std::to_string(i), x[i], v);
    }
  }
}

/// Calls the visitor for everything inside x.
template <class T>
void visit_fields(T& x, FieldVisitor& v) {
  if constexpr (std::same_as<T, bool>) {
    v.boolean(x);
  } else if constexpr (std::is_integral_v<T>) {
    v.integer(&x, sizeof(T), std::is_signed_v<T>);
  } else if constexpr (std::is_enum_v<T>) {
    auto number = static_cast<std::underlying_type_t<T>>(x);
    v.integer(&number, sizeof(number), std::is_signed_v<decltype(number)>);
    x = static_cast<T>(number);
  } else if constexpr (std::same_as<T, double>) {
    v.real(x);
  } else if constexpr (std::same_as<T, float>) {
    double wide = x;
    v.real(wide);
    x = static_cast<float>(wide);
  } else if constexpr (std::same_as<T, std::string>) {
    v.text(x);
  } else if constexpr (std::same_as<T, Tensor>) {
    v.tensor(x);
  } else if constexpr (is_vector<T>) {
    visit_vector(x, v);
  } else {
    static_assert(reflect::has_field_list<T> || std::is_aggregate_v<T>,
                  "knet: a checkpoint keeps numbers, strings, tensors, vectors of them, plain structs of "
                  "these, and what has state() and set_state() of such a type");
    reflect::for_each_field(x, [&](std::string_view name, auto& y) { visit_at(name, y, v); });
  }
}

}  // namespace knet::detail
