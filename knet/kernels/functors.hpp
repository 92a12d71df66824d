// Every elementwise function: its value and its derivative, written once for all that compute with it. V is
// fn::Scalar<T> in plain loops, a vector of a Highway target in kernels/cpu, a tensor where a gradient is
// differentiated again. V offers + - * / and comparisons with V and double, like(x, c) (the constant c),
// select(mask, a, b), and the functions below by argument-dependent lookup. Not installed.
#pragma once
#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::fn {

/// The parameters a and b of an operator, see the enum.
struct Params {
  double a = 0, b = 0;
};
/// uses_x, uses_y: does the derivative read the argument, the result?
template <bool X, bool Y>
struct Uses {
  static constexpr bool uses_x = X, uses_y = Y;
};

constexpr double pi = 3.14159265358979323846, two_over_sqrt_pi = 1.12837916709551257390,
                 ln2 = 0.69314718055994530942, ln10 = 2.30258509299404568402,
                 selu_alpha = 1.6732632423543772848170429916717,
                 selu_scale = 1.0507009873554804934193349852946, gelu_scale = 0.79788456080286535588,
                 gelu_cubic = 0.044715, inv_sqrt2 = 0.70710678118654752440,
                 inv_sqrt_2pi = 0.39894228040143267794;

// clang-format off
#define KNET_FN(Name, X, Y, VALUE, GRAD)                                                            \
  struct Name : Uses<X, Y> {                                                                        \
    template <class V> static V value([[maybe_unused]] const V& x, [[maybe_unused]] Params p) { return VALUE; } \
    template <class V> static V grad([[maybe_unused]] const V& x, [[maybe_unused]] const V& y, [[maybe_unused]] Params p) { return GRAD; } \
  };
#define KNET_FLAT(Name, VALUE) KNET_FN(Name, false, true, VALUE, like(y, 0.0))  // derivative 0

KNET_FN(Identity, false, true, x, like(y, 1.0))
KNET_FN(Neg, false, true, -x, like(y, -1.0))
KNET_FN(Abs, true, false, abs(x), sign(x))
KNET_FLAT(Sign, sign(x))
KNET_FN(Square, true, false, x * x, x * 2.0)
KNET_FN(Sqrt, false, true, sqrt(x), 0.5 / y)
KNET_FN(Rsqrt, false, true, 1.0 / sqrt(x), y * y * y * -0.5)
KNET_FN(Cbrt, false, true, cbrt(x), (1.0 / 3.0) / (y * y))
KNET_FN(Reciprocal, false, true, 1.0 / x, -(y * y))

KNET_FN(Exp, false, true, exp(x), y)
KNET_FN(Exp2, false, true, exp2(x), y * ln2)
KNET_FN(Expm1, false, true, expm1(x), y + 1.0)
KNET_FN(Log, true, false, log(x), 1.0 / x)
KNET_FN(Log2, true, false, log2(x), (1.0 / ln2) / x)
KNET_FN(Log10, true, false, log10(x), (1.0 / ln10) / x)
KNET_FN(Log1p, true, false, log1p(x), 1.0 / (x + 1.0))

KNET_FN(Sin, true, false, sin(x), cos(x))
KNET_FN(Cos, true, false, cos(x), -sin(x))
KNET_FN(Tan, false, true, tan(x), y * y + 1.0)
KNET_FN(Asin, true, false, asin(x), 1.0 / sqrt(1.0 - x * x))
KNET_FN(Acos, true, false, acos(x), -1.0 / sqrt(1.0 - x * x))
KNET_FN(Atan, true, false, atan(x), 1.0 / (x * x + 1.0))
KNET_FN(Sinh, true, false, sinh(x), cosh(x))
KNET_FN(Cosh, true, false, cosh(x), sinh(x))
KNET_FN(Tanh, false, true, tanh(x), 1.0 - y * y)
KNET_FN(Asinh, true, false, asinh(x), 1.0 / sqrt(x * x + 1.0))
KNET_FN(Acosh, true, false, acosh(x), 1.0 / sqrt(x * x - 1.0))
KNET_FN(Atanh, true, false, atanh(x), 1.0 / (1.0 - x * x))

KNET_FN(Erf, true, false, erf(x), exp(-(x * x)) * two_over_sqrt_pi)
KNET_FN(Erfc, true, false, erfc(x), exp(-(x * x)) * -two_over_sqrt_pi)
KNET_FN(Erfinv, false, true, erfinv(x), exp(y * y) * (1.0 / two_over_sqrt_pi))
KNET_FN(Lgamma, true, false, lgamma(x), digamma(x))
KNET_FN(Digamma, true, false, digamma(x), trigamma(x))
// Near 0 the derivative's quotient cancels; its series is -pi^2 x / 3 there.
KNET_FN(Sinc, true, true, select(x == 0.0, like(x, 1.0), sin(x * pi) / select(x == 0.0, like(x, 1.0), x * pi)),
        select(abs(x) < 1e-4, x * (-pi * pi / 3.0), (cos(x * pi) - y) / select(x == 0.0, like(x, 1.0), x)))

KNET_FLAT(Floor, floor(x))
KNET_FLAT(Ceil, ceil(x))
KNET_FLAT(Round, round(x))
KNET_FLAT(Trunc, trunc(x))

// "x < 0 ? 0 : x" and not "x > 0 ? x : 0": NaN stays NaN.
KNET_FN(Relu, false, true, select(x < 0.0, like(x, 0.0), x), select(y > 0.0, like(y, 1.0), like(y, 0.0)))
KNET_FN(Sigm, false, true, sigmoid(x), y * (1.0 - y))
KNET_FN(Elu, false, true, select(x < 0.0, expm1(x) * p.a, x), select(y < 0.0, y + p.a, like(y, 1.0)))
KNET_FN(Selu, false, true, select(x < 0.0, expm1(x) * (selu_scale * selu_alpha), x * selu_scale),
        select(y < 0.0, y + selu_scale * selu_alpha, like(y, selu_scale)))
KNET_FN(LeakyRelu, false, true, select(x < 0.0, x * p.a, x), select(y > 0.0, like(y, 1.0), like(y, p.a)))
KNET_FN(GeluExact, true, false, x * (erf(x * inv_sqrt2) + 1.0) * 0.5,
        (erf(x * inv_sqrt2) + 1.0) * 0.5 + x * exp(x * x * -0.5) * inv_sqrt_2pi)
KNET_FN(Softplus, true, false, select(x < 0.0, like(x, 0.0), x) + log1p(exp(-abs(x))), sigmoid(x))
KNET_FN(HardSigmoid, false, true, min(max(x * (1.0 / 6.0) + 0.5, like(x, 0.0)), like(x, 1.0)),
        select(y <= 0.0, like(y, 0.0), select(y >= 1.0, like(y, 0.0), like(y, 1.0 / 6.0))))
KNET_FN(LogSigm, true, false, select(x < 0.0, x, like(x, 0.0)) - log1p(exp(-abs(x))), sigmoid(-x))

KNET_FN(Pow, true, false, pow(x, like(x, p.a)), p.a == 0 ? like(x, 0.0) : pow(x, like(x, p.a - 1.0)) * p.a)
KNET_FN(Clamp, true, false, select(x < p.a, like(x, p.a), select(x > p.b, like(x, p.b), x)),
        select(x < p.a, like(x, 0.0), select(x > p.b, like(x, 0.0), like(x, 1.0))))
KNET_FN(Scale, false, true, x * p.a + p.b, like(y, p.a))

struct Gelu : Uses<true, false> {
  template <class V> static V value(const V& x, Params) {
    return x * (tanh((x * x * gelu_cubic + 1.0) * x * gelu_scale) + 1.0) * 0.5;
  }
  template <class V> static V grad(const V& x, const V&, Params) {
    const V t = tanh((x * x * gelu_cubic + 1.0) * x * gelu_scale);
    return (t + 1.0) * 0.5 + x * (1.0 - t * t) * (x * x * (3.0 * gelu_cubic) + 1.0) * (0.5 * gelu_scale);
  }
};
struct Silu : Uses<true, false> {
  template <class V> static V value(const V& x, Params) { return x * sigmoid(x); }
  template <class V> static V grad(const V& x, const V&, Params) {
    const V s = sigmoid(x);
    return s * (x * (1.0 - s) + 1.0);
  }
};

// Two arguments. grad_a and grad_b are the derivatives with respect to a and b; equal maxima share it.
#define KNET_FN2(Name, VALUE, A, B)                                                                 \
  struct Name {                                                                                     \
    template <class V> static V value(const V& a, const V& b) { return VALUE; }                     \
    template <class V> static V grad_a([[maybe_unused]] const V& a, [[maybe_unused]] const V& b, [[maybe_unused]] const V& y) { return A; } \
    template <class V> static V grad_b([[maybe_unused]] const V& a, [[maybe_unused]] const V& b, [[maybe_unused]] const V& y) { return B; } \
  };
KNET_FN2(Add, a + b, like(a, 1.0), like(a, 1.0))
KNET_FN2(Sub, a - b, like(a, 1.0), like(a, -1.0))
KNET_FN2(Mul, a * b, b, a)
KNET_FN2(Div, a / b, 1.0 / b, -(y / b))
KNET_FN2(Power, pow(a, b), select(b == 0.0, like(a, 0.0), b * pow(a, b - 1.0)),
         select(a == 0.0, like(a, 0.0), y * log(select(a == 0.0, like(a, 1.0), a))))
KNET_FN2(Atan2, atan2(a, b), b / (a * a + b * b), -a / (a * a + b * b))
KNET_FN2(Hypot, hypot(a, b), a / y, b / y)
KNET_FN2(Maximum, max(a, b), select(a > b, like(a, 1.0), select(a == b, like(a, 0.5), like(a, 0.0))),
         select(b > a, like(a, 1.0), select(a == b, like(a, 0.5), like(a, 0.0))))
KNET_FN2(Minimum, min(a, b), select(a < b, like(a, 1.0), select(a == b, like(a, 0.5), like(a, 0.0))),
         select(b < a, like(a, 1.0), select(a == b, like(a, 0.5), like(a, 0.0))))
KNET_FN2(Remainder, a - floor(a / b) * b, like(a, 1.0), -floor(a / b))
KNET_FN2(FloorDivide, floor(a / b), like(a, 0.0), like(a, 0.0))
// clang-format on
#undef KNET_FN
#undef KNET_FLAT
#undef KNET_FN2

/// f(Relu{}) for Unary::relu. The four functions that give boolean have no functor (and no derivative).
template <class F>
decltype(auto) dispatch_unary(Unary op, F&& f) {
  switch (op) {
    case Unary::identity: return f(Identity{});
    case Unary::neg: return f(Neg{});
    case Unary::abs: return f(Abs{});
    case Unary::sign: return f(Sign{});
    case Unary::square: return f(Square{});
    case Unary::sqrt: return f(Sqrt{});
    case Unary::rsqrt: return f(Rsqrt{});
    case Unary::cbrt: return f(Cbrt{});
    case Unary::reciprocal: return f(Reciprocal{});
    case Unary::exp: return f(Exp{});
    case Unary::exp2: return f(Exp2{});
    case Unary::expm1: return f(Expm1{});
    case Unary::log: return f(Log{});
    case Unary::log2: return f(Log2{});
    case Unary::log10: return f(Log10{});
    case Unary::log1p: return f(Log1p{});
    case Unary::sin: return f(Sin{});
    case Unary::cos: return f(Cos{});
    case Unary::tan: return f(Tan{});
    case Unary::asin: return f(Asin{});
    case Unary::acos: return f(Acos{});
    case Unary::atan: return f(Atan{});
    case Unary::sinh: return f(Sinh{});
    case Unary::cosh: return f(Cosh{});
    case Unary::tanh: return f(Tanh{});
    case Unary::asinh: return f(Asinh{});
    case Unary::acosh: return f(Acosh{});
    case Unary::atanh: return f(Atanh{});
    case Unary::erf: return f(Erf{});
    case Unary::erfc: return f(Erfc{});
    case Unary::erfinv: return f(Erfinv{});
    case Unary::lgamma: return f(Lgamma{});
    case Unary::digamma: return f(Digamma{});
    case Unary::sinc: return f(Sinc{});
    case Unary::floor: return f(Floor{});
    case Unary::ceil: return f(Ceil{});
    case Unary::round: return f(Round{});
    case Unary::trunc: return f(Trunc{});
    case Unary::relu: return f(Relu{});
    case Unary::sigm: return f(Sigm{});
    case Unary::elu: return f(Elu{});
    case Unary::selu: return f(Selu{});
    case Unary::leaky_relu: return f(LeakyRelu{});
    case Unary::gelu: return f(Gelu{});
    case Unary::gelu_exact: return f(GeluExact{});
    case Unary::silu: return f(Silu{});
    case Unary::softplus: return f(Softplus{});
    case Unary::hard_sigmoid: return f(HardSigmoid{});
    case Unary::log_sigm: return f(LogSigm{});
    case Unary::pow: return f(Pow{});
    case Unary::clamp: return f(Clamp{});
    case Unary::scale: return f(Scale{});
    default: fail<ValueError>("unary: function ", static_cast<int>(op), " has no derivative");
  }
}
/// f(Add{}) for Binary::add. Comparisons have no functor.
template <class F>
decltype(auto) dispatch_binary(Binary op, F&& f) {
  switch (op) {
    case Binary::add: return f(Add{});
    case Binary::sub: return f(Sub{});
    case Binary::mul: return f(Mul{});
    case Binary::div: return f(Div{});
    case Binary::pow: return f(Power{});
    case Binary::atan2: return f(Atan2{});
    case Binary::hypot: return f(Hypot{});
    case Binary::maximum: return f(Maximum{});
    case Binary::minimum: return f(Minimum{});
    case Binary::remainder: return f(Remainder{});
    case Binary::floor_divide: return f(FloorDivide{});
    default: fail<ValueError>("binary: function ", static_cast<int>(op), " has no derivative");
  }
}

const char* name_of(Unary);
const char* name_of(Binary);

}  // namespace knet::fn
