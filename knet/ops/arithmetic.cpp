#include "knet/ops/arithmetic.hpp"

#include <utility>

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/elementwise.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
using detail::binary;
using detail::unary;

Tensor operator+(const Tensor& a, const Tensor& b) { return binary(Binary::add, a, b); }
Tensor operator+(const Tensor& a, double b) { return binary(Binary::add, a, b); }
Tensor operator+(double a, const Tensor& b) { return binary(Binary::add, b, a); }
Tensor operator-(const Tensor& a, const Tensor& b) { return binary(Binary::sub, a, b); }
Tensor operator-(const Tensor& a, double b) { return binary(Binary::sub, a, b); }
Tensor operator-(double a, const Tensor& b) { return binary(Binary::sub, b, a, true); }
Tensor operator*(const Tensor& a, const Tensor& b) { return binary(Binary::mul, a, b); }
Tensor operator*(const Tensor& a, double b) { return binary(Binary::mul, a, b); }
Tensor operator*(double a, const Tensor& b) { return binary(Binary::mul, b, a); }
Tensor operator/(const Tensor& a, const Tensor& b) { return binary(Binary::div, a, b); }
Tensor operator/(const Tensor& a, double b) { return binary(Binary::div, a, b); }
Tensor operator/(double a, const Tensor& b) { return binary(Binary::div, b, a, true); }
Tensor operator-(const Tensor& x) { return unary(Unary::neg, x); }

Tensor operator+(Tensor&& a, double b) { return binary(Binary::add, std::move(a), b); }
Tensor operator+(double a, Tensor&& b) { return binary(Binary::add, std::move(b), a); }
Tensor operator-(Tensor&& a, double b) { return binary(Binary::sub, std::move(a), b); }
Tensor operator-(double a, Tensor&& b) { return binary(Binary::sub, std::move(b), a, true); }
Tensor operator*(Tensor&& a, double b) { return binary(Binary::mul, std::move(a), b); }
Tensor operator*(double a, Tensor&& b) { return binary(Binary::mul, std::move(b), a); }
Tensor operator/(Tensor&& a, double b) { return binary(Binary::div, std::move(a), b); }
Tensor operator/(double a, Tensor&& b) { return binary(Binary::div, std::move(b), a, true); }
Tensor operator-(Tensor&& x) { return unary(Unary::neg, std::move(x)); }

Tensor operator<(const Tensor& a, const Tensor& b) { return binary(Binary::lt, a, b); }
Tensor operator<(const Tensor& a, double b) { return binary(Binary::lt, a, b); }
Tensor operator<(double a, const Tensor& b) { return binary(Binary::gt, b, a); }
Tensor operator>(const Tensor& a, const Tensor& b) { return binary(Binary::gt, a, b); }
Tensor operator>(const Tensor& a, double b) { return binary(Binary::gt, a, b); }
Tensor operator>(double a, const Tensor& b) { return binary(Binary::lt, b, a); }
Tensor operator<=(const Tensor& a, const Tensor& b) { return binary(Binary::le, a, b); }
Tensor operator<=(const Tensor& a, double b) { return binary(Binary::le, a, b); }
Tensor operator<=(double a, const Tensor& b) { return binary(Binary::ge, b, a); }
Tensor operator>=(const Tensor& a, const Tensor& b) { return binary(Binary::ge, a, b); }
Tensor operator>=(const Tensor& a, double b) { return binary(Binary::ge, a, b); }
Tensor operator>=(double a, const Tensor& b) { return binary(Binary::le, b, a); }
Tensor operator==(const Tensor& a, const Tensor& b) { return binary(Binary::eq, a, b); }
Tensor operator==(const Tensor& a, double b) { return binary(Binary::eq, a, b); }
Tensor operator!=(const Tensor& a, const Tensor& b) { return binary(Binary::ne, a, b); }
Tensor operator!=(const Tensor& a, double b) { return binary(Binary::ne, a, b); }
Tensor logical_and(const Tensor& a, const Tensor& b) { return binary(Binary::logical_and, a, b); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return binary(Binary::logical_or, a, b); }
Tensor logical_xor(const Tensor& a, const Tensor& b) { return binary(Binary::logical_xor, a, b); }
Tensor logical_not(const Tensor& x) { return unary(Unary::logical_not, x); }

Tensor pow(const Tensor& x, double e) { return unary(Unary::pow, x, e); }
Tensor pow(const Tensor& x, const Tensor& e) { return binary(Binary::pow, x, e); }
Tensor pow(double base, const Tensor& e) { return binary(Binary::pow, e, base, true); }
Tensor atan2(const Tensor& y, const Tensor& x) { return binary(Binary::atan2, y, x); }
Tensor hypot(const Tensor& a, const Tensor& b) { return binary(Binary::hypot, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(Binary::maximum, a, b); }
Tensor maximum(const Tensor& a, double b) { return binary(Binary::maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(Binary::minimum, a, b); }
Tensor minimum(const Tensor& a, double b) { return binary(Binary::minimum, a, b); }
Tensor remainder(const Tensor& a, const Tensor& b) { return binary(Binary::remainder, a, b); }
Tensor remainder(const Tensor& a, double b) { return binary(Binary::remainder, a, b); }
Tensor floor_divide(const Tensor& a, const Tensor& b) { return binary(Binary::floor_divide, a, b); }
Tensor floor_divide(const Tensor& a, double b) { return binary(Binary::floor_divide, a, b); }
Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail<ValueError>("clamp: low ", low, " is above high ", high);
  return unary(Unary::clamp, x, low, high);
}

Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b) {
  check_same("where", a, b);
  check_defined("where", mask);
  if (mask.dtype() != boolean) fail<DTypeError>("where: the mask is ", mask.dtype(), ", not boolean");
  const Shape s = broadcast("where", mask.shape(), broadcast("where", a.shape(), b.shape()));
  Tensor y = a.shape() == s ? raw::empty_like(a, a.dtype()) : Tensor::make(s, a.dtype(), a.device());
  kernels(a.device()).where(array_as(mask, s), array_as(a, s), array_as(b, s), array(y));
  if (Node* n = track(y, "where", {&a, &b})) {
    n->backward([mask, sa = a.shape(), sb = b.shape()](const Tensor& dy, Gradients& g) {
      if (g.wants(0)) g.add(0, sum_to(where(mask, dy, 0.0), sa));
      if (g.wants(1)) g.add(1, sum_to(where(mask, 0.0, dy), sb));
    });
  }
  return y;
}
Tensor where(const Tensor& mask, const Tensor& a, double b) {
  check_defined("where", a);
  return where(mask, a, scalar(b, a.dtype()));
}
Tensor where(const Tensor& mask, double a, const Tensor& b) {
  check_defined("where", b);
  return where(mask, scalar(a, b.dtype()), b);
}

// Compound assignment writes in place where nobody can tell the difference, and makes a new value otherwise.
namespace {
bool may_overwrite(const Tensor& x, const Tensor& y) {
  return TensorAccess::sole_owner(x) && !tracked(x) && !tracked(y) && x.dtype() == y.dtype() &&
         x.is_contiguous() && broadcast("operator +=", x.shape(), y.shape()) == x.shape();
}
Tensor& compound(Binary op, Tensor& x, const Tensor& y) {
  check_same(fn::name_of(op), x, y);
  if (is_floating(x.dtype()) && may_overwrite(x, y)) {
    raw::make_own(x);
    kernels(x.device()).binary(op, array(x), array_as(y, x.shape()), array(x));
    return x;
  }
  const Shape s = x.shape();
  Tensor r = binary(op, x, y);
  if (r.shape() != s) fail<ShapeError>(fn::name_of(op), "=: ", y.shape(), " does not fit into ", s);
  return x = std::move(r);
}
Tensor& compound(Binary op, Tensor& x, double y) {
  check_defined(fn::name_of(op), x);
  if (is_floating(x.dtype()) && TensorAccess::sole_owner(x) && x.is_contiguous() && !tracked(x)) {
    raw::make_own(x);
    kernels(x.device()).binary_scalar(op, array(x), y, false, array(x));
    return x;
  }
  return x = binary(op, x, y);
}
}  // namespace
Tensor& Tensor::operator+=(const Tensor& o) { return compound(Binary::add, *this, o); }
Tensor& Tensor::operator-=(const Tensor& o) { return compound(Binary::sub, *this, o); }
Tensor& Tensor::operator*=(const Tensor& o) { return compound(Binary::mul, *this, o); }
Tensor& Tensor::operator/=(const Tensor& o) { return compound(Binary::div, *this, o); }
Tensor& Tensor::operator+=(double o) { return compound(Binary::add, *this, o); }
Tensor& Tensor::operator-=(double o) { return compound(Binary::sub, *this, o); }
Tensor& Tensor::operator*=(double o) { return compound(Binary::mul, *this, o); }
Tensor& Tensor::operator/=(double o) { return compound(Binary::div, *this, o); }

}  // namespace knet
