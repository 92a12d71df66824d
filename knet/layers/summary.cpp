#include "knet/layers/summary.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <ostream>

#include "knet/base/text.hpp"

namespace knet {
namespace detail {
namespace {

/// 1234 as "1.23 K"; up to 999 as it is.
std::string scaled(double v, double step, const char* unit) {
  static constexpr const char* prefix[] = {"", "K", "M", "G", "T", "P", "E"};
  int i = 0;
  while (v >= 999.5 && i < 6) v /= step, ++i;
  char b[40];
  if (i == 0)
    std::snprintf(b, sizeof b, "%.0f%s%s", v, *unit ? " " : "", unit);
  else
    std::snprintf(b, sizeof b, "%.*f %s%s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, prefix[i], unit);
  return b;
}
/// 1234567 as "1,234,567".
std::string grouped(std::int64_t v) {
  std::string s = std::to_string(v);
  for (auto i = static_cast<std::ptrdiff_t>(s.size()) - 3; i > (v < 0); i -= 3)
    s.insert(static_cast<std::size_t>(i), ",");
  return s;
}
std::size_t width(const std::string& s) {  // in code points
  return static_cast<std::size_t>(std::ranges::count_if(s, [](char c) { return (c & 0xC0) != 0x80; }));
}
void add(LayerSummary& sum, const LayerSummary& r) {
  sum.params += r.params;
  sum.param_bytes += r.param_bytes;
  sum.result_bytes += r.result_bytes;
  sum.flops += r.flops;
}

}  // namespace

ModelSummary summarize(const Trace& t) {
  ModelSummary s;
  std::map<int, std::size_t> row_of_layer;
  const auto row_for = [&](int layer) {
    const auto [at, fresh] = row_of_layer.try_emplace(layer, s.rows.size());
    if (fresh) {
      const TracedLayer& l = t.layers[static_cast<std::size_t>(layer)];
      LayerSummary r;
      r.name = l.name;
      r.description = l.description;
      r.params = l.params;
      r.param_bytes = l.param_bytes;
      s.rows.push_back(std::move(r));
    }
    return at->second;
  };
  std::optional<std::size_t> open;  // the row of the operator before
  int open_layer = -1;
  for (const TracedOp& op : t.ops) {
    if (op.kind != TracedOp::Kind::op) continue;
    if (!open || op.layer != open_layer) {
      if (op.layer >= 0) {
        open = row_for(op.layer);
      } else {
        open = s.rows.size();
        s.rows.emplace_back();
      }
      open_layer = op.layer;
      ++s.rows[*open].calls;
    }
    LayerSummary& r = s.rows[*open];
    if (op.layer < 0 || t.layers[static_cast<std::size_t>(op.layer)].description.empty())
      r.description += (r.description.empty() ? "" : ", ") + op.name;
    r.output = op.shape;
    r.result_bytes += op.result_bytes;
    r.flops += op.flops;
  }
  for (std::size_t i = 0; i < t.layers.size(); ++i) row_for(static_cast<int>(i));
  for (const LayerSummary& r : s.rows) add(s.total, r);
  s.total.description = "total";
  s.total.flops += t.other_flops;
  s.total.calls = 1;
  if (open) s.total.output = s.rows[*open].output;
  return s;
}

std::string to_string(const ModelSummary& s) {
  using Row = std::vector<std::string>;
  std::vector<Row> table{{"layer", "", "output", "parameters", "results", "FLOPs"}};
  const auto row = [](const LayerSummary& r) {
    std::string what = r.calls > 1 ? text(r.description, " x", r.calls) : r.description;
    return Row{r.name,
               std::move(what),
               r.calls == 0 ? "not called" : knet::to_string(r.output),
               r.params ? grouped(r.params) : "",
               scaled(static_cast<double>(r.result_bytes), 1024, "B"),
               r.flops > 0 ? scaled(r.flops, 1000, "") : ""};
  };
  for (const LayerSummary& r : s.rows) table.push_back(row(r));
  std::size_t widths[6]{};
  const auto measure = [&] {
    for (const Row& r : table) {
      for (std::size_t i = 0; i < 6; ++i) widths[i] = std::max(widths[i], width(r[i]));
    }
  };
  measure();
  std::string out;
  for (const Row& r : table) {
    std::string line;
    for (std::size_t i = 0; i < 6; ++i) {
      if (widths[i] == 0) continue;
      const std::string space(widths[i] - width(r[i]), ' ');
      if (!line.empty() || i > 0) line += line.empty() ? "" : "  ";
      line += i < 3 ? r[i] + space : space + r[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return text(out, grouped(s.total.params), " parameters (",
              scaled(static_cast<double>(s.total.param_bytes), 1024, "B"), "), results ",
              scaled(static_cast<double>(s.total.result_bytes), 1024, "B"), ", ",
              scaled(s.total.flops, 1000, "FLOPs"), " (two per multiply-add)\n");
}

}  // namespace detail

std::ostream& operator<<(std::ostream& out, const ModelSummary& s) { return out << detail::to_string(s); }

}  // namespace knet
