// A model is any object: a plain struct of layers, a tuple, a vector, a Chain ... walk() finds the parameters
// and tensors inside by reflection. It is instantiated once per type; what is done with a walk is compiled in
// the library as a Visitor.
#pragma once
#include <concepts>
#include <iterator>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "knet/autograd/param.hpp"
#include "knet/base/reflect.hpp"

namespace knet {

/// What happens at every thing found inside a model. `path` is its name: "encoder.0.weight".
struct Visitor {
  std::string path;
  virtual ~Visitor() = default;
  virtual void param(Param&) {}
  /// A plain Tensor member: saved and moved, not trained.
  virtual void state(Tensor&) {}
  virtual void number(double) {}
  virtual void text(std::string_view) {}
  /// A struct begins; describe (may be null) gives its one-line text.
  virtual void enter(std::string_view /*type*/, std::string (* /*describe*/)(const void*), const void*) {}
  virtual void leave() {}
  template <class F>
  void at(std::string_view name, F&& f) {
    const auto n = path.size();
    if (n > 0) path += '.';
    path += name;
    f();
    path.resize(n);
  }
};

/// template <> inline constexpr bool knet::opaque<MyHandle> = true;  nothing inside is a parameter.
template <class T>
inline constexpr bool opaque = false;

namespace detail {
template <class T>
concept described = requires(const T& t) {
  { t.describe() } -> std::convertible_to<std::string>;
};
template <class T>
concept erased = requires(T& t, Visitor& v) {
  t.walk(v);
};
/// optional, unique_ptr, shared_ptr
template <class T>
concept maybe = std::is_class_v<T> && requires(T& t) {
  *t;
  static_cast<bool>(t);
} &&(
    requires { typename T::value_type; } || requires { typename T::element_type; });
template <class T>
concept range_like = requires(T& t) {
  t.begin();
  t.end();
};
template <class T>
concept map_like = range_like<T> && requires {
  typename T::mapped_type;
};
template <class T>
concept tuple_like = requires {
  std::tuple_size<T>::value;
};
template <class T>
inline constexpr bool is_variant = false;
template <class... A>
inline constexpr bool is_variant<std::variant<A...>> = true;
struct Probe {
  template <class T>
  void operator()(std::string_view, T&) const;
};
template <class T>
concept listed =
    reflect::has_field_list<T> || reflect::has_static_visit<T, Probe> || reflect::has_friend_visit<T, Probe>;
template <class T>
std::string describe(const void* p) {
  if constexpr (described<T>)
    return static_cast<const T*>(p)->describe();
  else
    return {};
}
std::string_view index_name(std::size_t i, char (&buffer)[20]);
}  // namespace detail

template <class T>
void walk(T& x, Visitor& v);

namespace detail {
template <class T, std::size_t... I>
void walk_tuple(T& x, Visitor& v, std::index_sequence<I...>) {
  char b[20];
  (v.at(index_name(I, b), [&] { walk(std::get<I>(x), v); }), ...);
}
template <class T>
void walk_struct(T& x, Visitor& v) {
  v.enter(reflect::type_name<T>(), described<T> ? &describe<T> : nullptr, &x);
  if constexpr (listed<T>) {
    reflect::for_each_field(x, [&](std::string_view name, auto& y) { v.at(name, [&] { walk(y, v); }); });
  } else if constexpr (tuple_like<T>) {
    walk_tuple(x, v, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (std::is_empty_v<T>) {
  } else if constexpr (std::is_aggregate_v<T>) {
    reflect::for_each_field(x, [&](std::string_view name, auto& y) { v.at(name, [&] { walk(y, v); }); });
  } else {
    // Numbers captured by a lambda are fine; layers captured by value would be lost silently.
    static_assert(
        std::is_trivially_copyable_v<T>,
        "knet: this type has state that can't be seen (private members, a std::function, or a lambda that "
        "captures layers by value): make it a plain struct, add  using fields = knet::fields<&T::a, ...>;  "
        "after the members, or set  knet::opaque<T> = true  if it holds no parameters");
  }
  v.leave();
}
}  // namespace detail

/// Calls the visitor for everything inside x. A visitor of a const model must not write.
template <class T>
void walk(T& x, Visitor& v) {
  if constexpr (std::is_const_v<T>) {
    walk(const_cast<std::remove_const_t<T>&>(x), v);
  } else if constexpr (std::same_as<T, Param>) {
    v.param(x);
  } else if constexpr (std::same_as<T, Tensor>) {
    v.state(x);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    v.number(static_cast<double>(x));
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    v.text(x);
  } else if constexpr (opaque<T> || std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                       std::same_as<T, std::monostate>) {
  } else if constexpr (detail::erased<T>) {
    x.walk(v);
  } else if constexpr (detail::is_variant<T>) {
    std::visit([&](auto& y) { walk(y, v); }, x);
  } else if constexpr (detail::maybe<T>) {
    if (x) walk(*x, v);
  } else if constexpr (detail::map_like<T>) {
    for (auto& e : x) v.at(std::string_view(e.first), [&] { walk(e.second, v); });
  } else if constexpr (detail::range_like<T>) {
    if constexpr (!std::is_arithmetic_v<std::remove_reference_t<decltype(*x.begin())>>) {
      std::size_t i = 0;
      char b[20];
      for (auto& y : x) v.at(detail::index_name(i++, b), [&] { walk(y, v); });
    }
  } else {
    detail::walk_struct(x, v);
  }
}

namespace detail {
/// A model of any type, for compiled code.
struct AnyModel {
  void* p;
  void (*walk)(void*, Visitor&);
};
template <class M>
AnyModel any_model(M& m) {
  return {const_cast<void*>(static_cast<const void*>(&m)),
          [](void* p, Visitor& v) { knet::walk(*static_cast<M*>(p), v); }};
}
}  // namespace detail

/// A parameter and its name.
struct Named {
  std::string name;
  Param* param;
};
/// The parameters of a model, each once, in the order of the fields.
class NamedParams {
 public:
  explicit NamedParams(detail::AnyModel);
  auto begin() const { return v_.begin(); }
  auto end() const { return v_.end(); }
  std::size_t size() const { return v_.size(); }
  const Named& operator[](std::size_t i) const { return v_.at(i); }

 private:
  std::vector<Named> v_;
};

/// for (auto& w : params(model)) w -= 0.1 * tape.grad(w);
template <class P>
class Params {
 public:
  explicit Params(const NamedParams& n) {
    v_.reserve(n.size());
    for (auto& e : n) v_.push_back(e.param);
  }
  struct iterator {
    P* const* p;
    using value_type = P;
    using reference = P&;
    using pointer = P*;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::forward_iterator_tag;
    P& operator*() const { return **p; }
    P* operator->() const { return *p; }
    iterator& operator++() {
      ++p;
      return *this;
    }
    iterator operator++(int) {
      auto t = *this;
      ++p;
      return t;
    }
    friend bool operator==(iterator a, iterator b) { return a.p == b.p; }
  };
  iterator begin() const { return {v_.data()}; }
  iterator end() const { return {v_.data() + v_.size()}; }
  std::size_t size() const { return v_.size(); }
  P& operator[](std::size_t i) const { return *v_.at(i); }

 private:
  std::vector<P*> v_;
};

template <class M>
using param_of = std::conditional_t<std::is_const_v<M>, const Param, Param>;
/// The parameters of a model, also of std::tie(a, b) or a part of a Chain.
template <class M>
auto params(M&& m) {
  return Params<param_of<std::remove_reference_t<M>>>(NamedParams(detail::any_model(m)));
}
/// With their names: "layers.0.weight".
template <class M>
NamedParams named_params(M& m) {
  return NamedParams(detail::any_model(m));
}
/// How many numbers are trained.
template <class M>
std::int64_t count_params(const M& m) {
  std::int64_t n = 0;
  for (auto& e : named_params(m)) n += e.param->numel();
  return n;
}
/// Frozen parameters are constants for diff() and left alone by optimisers.
template <class M>
M& freeze(M& m, bool on = true) {
  for (auto& p : params(m)) p.freeze(on);
  return m;
}

namespace detail {
void move(AnyModel, Device);
void cast(AnyModel, DType);
}  // namespace detail
/// Moves parameters and state to a device; DeviceError when there is none, and nothing is moved then.
template <class M>
M& to(M& m, Device d) {
  detail::move(detail::any_model(m), d);
  return m;
}
/// Converts parameters and floating state to f32 or f64.
template <class M>
M& to(M& m, DType t) {
  detail::cast(detail::any_model(m), t);
  return m;
}

}  // namespace knet
