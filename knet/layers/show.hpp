// Models as text.
#pragma once
#include <string>

#include "knet/autograd/model.hpp"

namespace knet {

namespace detail {
std::string show(AnyModel);
std::string summary(AnyModel);
}  // namespace detail

/// A tree of the layers with their options: std::cout << show(model)
template <class M>
std::string show(const M& m) {
  return detail::show(detail::any_model(m));
}
/// One line per parameter: name, dtype and shape, count; and the total.
template <class M>
std::string summary(const M& m) {
  return detail::summary(detail::any_model(m));
}

}  // namespace knet
