#include "tests/ops/op_table.hpp"

namespace knet::test {
namespace {

template <class F>
Op one(const std::string& name, const F& f, bool twice = true) {
  return {name, [f](const Inputs& x) -> Tensor { return f(x[0]); }, twice};
}
template <class F>
Op two(const std::string& name, const F& f, bool twice = true) {
  return {name, [f](const Inputs& x) -> Tensor { return f(x[0], x[1]); }, twice};
}

#define KNET_ONE(name) one(#name, [](const Tensor& x) { return name(x); })
#define KNET_TWO(table, name) two(table, [](const Tensor& a, const Tensor& b) { return name(a, b); })

void add_elementwise(std::vector<Op>& t) {
  for (Op op :
       {KNET_ONE(exp),        KNET_ONE(exp2),  KNET_ONE(expm1),        KNET_ONE(sin),        KNET_ONE(cos),
        KNET_ONE(atan),       KNET_ONE(sinh),  KNET_ONE(cosh),         KNET_ONE(tanh),       KNET_ONE(asinh),
        KNET_ONE(erf),        KNET_ONE(erfc),  KNET_ONE(square),       KNET_ONE(sqrt),       KNET_ONE(rsqrt),
        KNET_ONE(reciprocal), KNET_ONE(log),   KNET_ONE(log2),         KNET_ONE(log10),      KNET_ONE(asin),
        KNET_ONE(acos),       KNET_ONE(atanh), KNET_ONE(erfinv),       KNET_ONE(cbrt),       KNET_ONE(tan),
        KNET_ONE(acosh),      KNET_ONE(log1p), KNET_ONE(sinc),         KNET_ONE(abs),        KNET_ONE(sign),
        KNET_ONE(floor),      KNET_ONE(ceil),  KNET_ONE(round),        KNET_ONE(trunc),      KNET_ONE(relu),
        KNET_ONE(sigm),       KNET_ONE(elu),   KNET_ONE(selu),         KNET_ONE(leaky_relu), KNET_ONE(gelu),
        KNET_ONE(gelu_exact), KNET_ONE(silu),  KNET_ONE(hard_sigmoid), KNET_ONE(log_sigm)}) {
    t.push_back(op);
  }
  t.push_back(one("neg", [](const Tensor& x) { return -x; }));
  // The derivative of digamma is trigamma, whose own derivative is not offered.
  t.push_back(one("lgamma", [](const Tensor& x) { return lgamma(x); }));
  t.push_back(one(
      "digamma", [](const Tensor& x) { return digamma(x); }, false));
  t.push_back(one("elu_alpha", [](const Tensor& x) { return ELU{.alpha = 0.3}(x); }));
  t.push_back(one("softplus", [](const Tensor& x) { return Softplus{}(x); }));
  t.push_back(one("pow_scalar", [](const Tensor& x) { return pow(x, 2.5); }));
  t.push_back(one("pow_two", [](const Tensor& x) { return pow(x, 2); }));
  t.push_back(one("pow_three", [](const Tensor& x) { return pow(x, 3); }));
  t.push_back(one("scalar_pow", [](const Tensor& x) { return pow(1.7, x); }));
  t.push_back(one("clamp", [](const Tensor& x) { return clamp(x, -0.5, 1.1); }));
  for (const std::string form : {"same", "row", "column", "cube"}) {
    t.push_back(KNET_TWO("add_" + form, operator+));
    t.push_back(KNET_TWO("sub_" + form, operator-));
    t.push_back(KNET_TWO("mul_" + form, operator*));
    t.push_back(KNET_TWO("div_" + form, operator/));
    t.push_back(KNET_TWO("pow_" + form, pow));
    t.push_back(KNET_TWO("atan2_" + form, atan2));
    t.push_back(KNET_TWO("hypot_" + form, hypot));
    t.push_back(KNET_TWO("maximum_" + form, maximum));
    t.push_back(KNET_TWO("minimum_" + form, minimum));
    t.push_back(KNET_TWO("remainder_" + form, remainder));
  }
  t.push_back(KNET_TWO("lt", operator<));
  t.push_back(KNET_TWO("gt", operator>));
  t.push_back(KNET_TWO("le", operator<=));
  t.push_back(KNET_TWO("ge", operator>=));
  t.push_back(KNET_TWO("eq", operator==));
  t.push_back(KNET_TWO("ne", operator!=));
  t.push_back(two("where", [](const Tensor& a, const Tensor& b) { return where(a > b, a, b * 2); }));
  t.push_back(one("rsub_scalar", [](const Tensor& x) { return 1.5 - x; }));
  t.push_back(one("rdiv_scalar", [](const Tensor& x) { return 1.5 / x; }));
  t.push_back(KNET_TWO("floor_divide", floor_divide));
}

void add_reductions(std::vector<Op>& t) {
  const std::pair<std::string, Dims> forms[] = {
      {"all", {}}, {"0", 0}, {"1", 1}, {"last", -1}, {"02", {0, 2}}};
  for (const auto& [form, d] : forms) {
    t.push_back(one("sum_" + form, [d = d](const Tensor& x) { return sum(x, d); }));
    t.push_back(one("mean_" + form, [d = d](const Tensor& x) { return mean(x, d); }));
    t.push_back(one("var_" + form, [d = d](const Tensor& x) { return var(x, d); }));
    t.push_back(one("std_" + form, [d = d](const Tensor& x) { return std_dev(x, d); }));
    t.push_back(one("logsumexp_" + form, [d = d](const Tensor& x) { return logsumexp(x, d); }));
    t.push_back(one("norm_" + form, [d = d](const Tensor& x) { return norm(x, 2, d); }));
    t.push_back(one("norm1_" + form, [d = d](const Tensor& x) { return norm(x, 1, d); }));
    t.push_back(one("norm3_" + form, [d = d](const Tensor& x) { return norm(x, 3, d); }));
    t.push_back(one("max_" + form, [d = d](const Tensor& x) { return max(x, d); }));
    t.push_back(one("min_" + form, [d = d](const Tensor& x) { return min(x, d); }));
  }
  t.push_back(one("var_biased", [](const Tensor& x) { return var(x, 1, false, false); }));
  t.push_back(one("sum_keep", [](const Tensor& x) { return sum(x, 1, true); }));
  t.push_back(one("prod_all", [](const Tensor& x) { return prod(x); }));
  t.push_back(one("prod_1", [](const Tensor& x) { return prod(x, 1); }));
  t.push_back(one(
      "prod_zero", [](const Tensor& x) { return prod(x, 1); }, false));
  t.push_back(one("cumsum_0", [](const Tensor& x) { return cumsum(x, 0); }));
  t.push_back(one("cumsum_1", [](const Tensor& x) { return cumsum(x, -1); }));
  t.push_back(one("argmax", [](const Tensor& x) { return argmax(x, 1); }));
  t.push_back(one("argmin", [](const Tensor& x) { return argmin(x, 0); }));
  t.push_back(one("any", [](const Tensor& x) { return any(x > 1.5, 1); }));
  t.push_back(one("all", [](const Tensor& x) { return all(x > -1.5, 0); }));
}

void add_products(std::vector<Op>& t) {
  for (const std::string form : {"mm", "vm", "mv", "vv", "batch", "broadcast", "batch_matrix"}) {
    t.push_back(KNET_TWO("matmul_" + form, matmul));
  }
  t.push_back(two("matmul_tn", [](const Tensor& a, const Tensor& b) { return matmul(a.T(), b); }));
  t.push_back(two("matmul_nt", [](const Tensor& a, const Tensor& b) { return matmul(a, b.T()); }));
  t.push_back(KNET_TWO("bmm", bmm));
  t.push_back(two("bmm_tn", [](const Tensor& a, const Tensor& b) { return bmm(a, b, true); }));
  t.push_back(two("bmm_nt", [](const Tensor& a, const Tensor& b) { return bmm(a, b, false, true); }));
  t.push_back(two("bmm_tt", [](const Tensor& a, const Tensor& b) { return bmm(a, b, true, true); }));
  t.push_back(KNET_TWO("dot", dot));
  t.push_back(KNET_TWO("outer", outer));
  t.push_back(KNET_ONE(inverse));
  t.push_back(one("inverse_batch", [](const Tensor& x) {
    std::vector<Tensor> parts;
    for (std::int64_t i = 0; i < x.size(0); ++i) parts.push_back(inverse(x.select(0, i)));
    return stack(parts);
  }));
  t.push_back(KNET_TWO("solve", solve));
  t.push_back(KNET_ONE(det));
  t.push_back(KNET_ONE(logdet));
  t.push_back(KNET_ONE(trace));
  t.push_back(KNET_ONE(diag));
  t.push_back(
      one("cholesky", [](const Tensor& x) { return cholesky(matmul(x, x.T()) + eye(4).to(x.dtype())); }));
  t.push_back(one("triu", [](const Tensor& x) { return triu(x, 1); }));
  t.push_back(one("tril", [](const Tensor& x) { return tril(x, -1); }));
}

void add_shapes(std::vector<Op>& t) {
  t.push_back(one("reshape", [](const Tensor& x) { return x.reshape({6, 4}); }));
  t.push_back(one("permute", [](const Tensor& x) { return x.permute({2, 0, 1}); }));
  t.push_back(one("transpose", [](const Tensor& x) { return x.transpose(0, 2); }));
  t.push_back(one("expand", [](const Tensor& x) { return x.expand({5, 3, 4}); }));
  t.push_back(one("narrow", [](const Tensor& x) { return x.narrow(1, 1, 2); }));
  t.push_back(one("select", [](const Tensor& x) { return x.select(1, 2); }));
  t.push_back(one("squeeze", [](const Tensor& x) { return x.squeeze(1); }));
  t.push_back(one("unsqueeze", [](const Tensor& x) { return x.unsqueeze(1); }));
  t.push_back(one("slice_step", [](const Tensor& x) { return x(slice(1, 5, 2), slice(0, 3)); }));
  t.push_back(two("cat_0", [](const Tensor& a, const Tensor& b) { return cat({a, b}, 0); }));
  t.push_back(two("cat_1", [](const Tensor& a, const Tensor& b) { return cat({a, b, a}, 1); }));
  t.push_back(two("stack", [](const Tensor& a, const Tensor& b) { return stack({a, b}, 1); }));
  t.push_back(one("split", [](const Tensor& x) {
    const auto parts = split(x, 2, 1);
    return parts[1] * 2 + parts[0];
  }));
  t.push_back(one("pad", [](const Tensor& x) { return pad(x, 1, 1, 2, 0.5); }));
  t.push_back(one("flip", [](const Tensor& x) { return flip(x, 1); }));
  t.push_back(two("index_select", [](const Tensor& x, const Tensor& i) { return index_select(x, 1, i); }));
  t.push_back(two("gather", [](const Tensor& x, const Tensor& i) { return gather(x, 1, i); }));
  t.push_back({"scatter_add", [](const Inputs& x) { return scatter_add(x[0], 1, x[1], x[2]); }});
  t.push_back(KNET_TWO("lookup", lookup));
  t.push_back(one("one_hot", [](const Tensor& i) { return one_hot(i, 4, f64); }));
  t.push_back(one("sort", [](const Tensor& x) { return sort(x, 1); }));
  t.push_back(one("sort_descending", [](const Tensor& x) { return sort(x, 0, true); }));
  t.push_back(one("argsort", [](const Tensor& x) { return argsort(x, 1); }));
  t.push_back(one("topk", [](const Tensor& x) { return topk(x, 2, 1).values; }));
  t.push_back(one("topk_smallest", [](const Tensor& x) { return topk(x, 2, 1, false).values; }));
  t.push_back(one("topk_indices", [](const Tensor& x) { return topk(x, 2, 1).indices; }));
}

void add_losses(std::vector<Op>& t) {
  t.push_back(one("softmax", [](const Tensor& x) { return softmax(x); }));
  t.push_back(one("softmax_0", [](const Tensor& x) { return softmax(x, 0); }));
  t.push_back(one("logp", [](const Tensor& x) { return logp(x); }));
  t.push_back(one("logp_1", [](const Tensor& x) { return logp(x, 1); }));
  t.push_back({"layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); }});
  const auto entropy = [&](const std::string& name, const CrossEntropyOptions& o) {
    t.push_back(two(name, [o](const Tensor& s, const Tensor& c) { return cross_entropy(s, c, o); }));
  };
  entropy("cross_entropy", {});
  entropy("cross_entropy_sum", {.average = false});
  entropy("cross_entropy_ignore", {.ignore = -1});
  entropy("cross_entropy_smooth", {.smoothing = 0.1});
  entropy("cross_entropy_dim", {.dim = 1});
  t.push_back({"cross_entropy_weight",
               [](const Inputs& x) { return cross_entropy(x[0], x[1], {.weight = x[2].detach()}); }});
  const Tensor truth = Tensor(std::vector<double>{0, 1, 1, 0, 1});
  t.push_back(
      one("binary_cross_entropy", [truth](const Tensor& s) { return binary_cross_entropy(s, truth); }));
  t.push_back(one("logistic_loss", [truth](const Tensor& s) { return logistic_loss(s, truth * 2 - 1); }));
  t.push_back(KNET_TWO("mse_loss", mse_loss));
  t.push_back(two("l1_loss", [](const Tensor& a, const Tensor& b) { return l1_loss(a, b); }));
  t.push_back(two("huber_loss", [](const Tensor& a, const Tensor& b) { return huber_loss(a, b, 0.7); }));
  t.push_back(
      two("kl_div", [](const Tensor& q, const Tensor& p) { return kl_div(logp(q), softmax(p), false); }));
}

}  // namespace

const std::vector<Op>& op_table() {
  static const std::vector<Op> table = [] {
    std::vector<Op> t;
    add_elementwise(t);
    add_reductions(t);
    add_products(t);
    add_shapes(t);
    add_losses(t);
    for (const Op& op : layer_ops()) t.push_back(op);
    return t;
  }();
  return table;
}

}  // namespace knet::test
