#include "knet/kernels/functors.hpp"

namespace knet::fn {
namespace {
constexpr const char* unary_names[] = {
    "identity",   "neg",   "abs",        "sign",  "square",     "sqrt",  "rsqrt",    "cbrt",
    "reciprocal", "exp",   "exp2",       "expm1", "log",        "log2",  "log10",    "log1p",
    "sin",        "cos",   "tan",        "asin",  "acos",       "atan",  "sinh",     "cosh",
    "tanh",       "asinh", "acosh",      "atanh", "erf",        "erfc",  "erfinv",   "lgamma",
    "digamma",    "sinc",  "floor",      "ceil",  "round",      "trunc", "relu",     "sigm",
    "elu",        "selu",  "leaky_relu", "gelu",  "gelu_exact", "silu",  "softplus", "hard_sigmoid",
    "log_sigm",   "pow",   "clamp",      "scale", "isnan",      "isinf", "isfinite", "logical_not"};
static_assert(sizeof unary_names / sizeof *unary_names == static_cast<std::size_t>(Unary::count));
constexpr const char* binary_names[] = {
    "operator +",  "operator -",  "operator *",  "operator /",   "pow",        "atan2",      "hypot",
    "maximum",     "minimum",     "remainder",   "floor_divide", "operator <", "operator >", "operator <=",
    "operator >=", "operator ==", "operator !=", "logical_and",  "logical_or", "logical_xor"};
static_assert(sizeof binary_names / sizeof *binary_names == static_cast<std::size_t>(Binary::count));
}  // namespace

const char* name_of(Unary op) { return unary_names[static_cast<std::size_t>(op)]; }
const char* name_of(Binary op) { return binary_names[static_cast<std::size_t>(op)]; }

}  // namespace knet::fn
