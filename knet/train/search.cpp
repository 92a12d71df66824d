#include "knet/train/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <set>
#include <sstream>

#include "knet/base/text.hpp"
#include "knet/device/random.hpp"
#include "knet/train/trials.hpp"

namespace knet::search {
namespace {

void check_range(const char* who, double low, double high) {
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high))
    fail<ValueError>(who, ": from ", low, " to ", high);
}
std::string print(double x) {
  std::ostringstream s;
  s.precision(17);
  s << x;
  std::ostringstream brief;
  brief.precision(15);
  brief << x;
  return std::stod(brief.str()) == x ? brief.str() : s.str();
}
double to_number(const std::string& s) {
  try {
    std::size_t used = 0;
    const double x = std::stod(s, &used);
    if (used == s.size()) return x;
  } catch (const std::exception&) {
  }
  return std::numeric_limits<double>::quiet_NaN();
}
Config::Value value_of(const std::string& name, double x) { return {name, x, print(x)}; }
Config::Value value_of(const std::string& name, const std::string& s) { return {name, to_number(s), s}; }

void check_space(const std::vector<std::pair<std::string, Range>>& settings) {
  if (settings.empty()) fail<ValueError>("Space: no settings");
  std::set<std::string> names;
  for (const auto& [name, range] : settings) {
    if (!names.insert(name).second) fail<ValueError>("Space: \"", name, "\" is there twice");
  }
}

}  // namespace

Range uniform(double low, double high) {
  check_range("uniform", low, high);
  return {Range::uniform, low, high};
}
Range log_uniform(double low, double high) {
  check_range("log_uniform", low, high);
  if (!(low > 0)) fail<ValueError>("log_uniform: from ", low, ", expected a positive number");
  return {Range::log_uniform, low, high};
}
Range integers(std::int64_t low, std::int64_t high) {
  constexpr std::int64_t most = std::int64_t{1} << 52;
  if (low > high || low < -most || high > most) fail<ValueError>("integers: from ", low, " to ", high);
  return {Range::integers, static_cast<double>(low), static_cast<double>(high)};
}
Range choices(std::vector<std::string> texts) {
  if (texts.empty()) fail<ValueError>("choices: none");
  return {Range::choices, 0, 1, std::move(texts)};
}
Range choices(std::initializer_list<double> numbers) {
  std::vector<std::string> texts;
  for (const double x : numbers) texts.push_back(print(x));
  return choices(std::move(texts));
}

Space::Space(std::initializer_list<std::pair<std::string, Range>> settings) : settings_(settings) {
  check_space(settings_);
}
Space::Space(std::vector<std::pair<std::string, Range>> settings) : settings_(std::move(settings)) {
  check_space(settings_);
}

const Config::Value& Config::find(const std::string& name) const {
  for (const Value& v : values) {
    if (v.name == name) return v;
  }
  fail<ValueError>("Config: no setting \"", name, "\" in ", *this);
}
double Config::number(const std::string& name) const {
  const Value& v = find(name);
  if (std::isnan(v.number))
    fail<ValueError>("Config: \"", name, "\" is the text \"", v.text, "\", not a number");
  return v.number;
}
std::int64_t Config::integer(const std::string& name) const {
  const double x = number(name);
  if (x != std::floor(x) || std::abs(x) > 0x1p53)
    fail<ValueError>("Config: \"", name, "\" is ", x, ", not an integer");
  return static_cast<std::int64_t>(x);
}
const std::string& Config::text(const std::string& name) const { return find(name).text; }

std::ostream& operator<<(std::ostream& out, const Config& c) {
  const char* between = "";
  for (const Config::Value& v : c.values) {
    out << between << v.name << '=' << v.text;
    between = " ";
  }
  return out;
}
bool operator<(const Trial& a, const Trial& b) {
  const bool x = std::isnan(a.loss), y = std::isnan(b.loss);
  if (x != y) return y;
  if (!x && a.loss != b.loss) return a.loss < b.loss;
  return a.number < b.number;
}
std::ostream& operator<<(std::ostream& out, const Trial& t) {
  out << "loss " << t.loss << ": " << t.config;
  if (t.resource != 0) out << " resource=" << t.resource;
  if (!t.error.empty()) out << " (" << t.error << ')';
  return out;
}

Config sample(const Space& space, std::uint64_t seed, std::uint64_t number) {
  Config c;
  std::uint64_t i = 0;
  for (const auto& [name, r] : space) {
    std::uint32_t u[4];
    philox::block({seed, number}, i++, u);
    const double x =
        (static_cast<double>(u[0]) * 0x1p20 + static_cast<double>(u[1] >> 12)) * 0x1p-52;  // [0, 1)
    switch (r.kind) {
      case Range::uniform:
        c.values.push_back(value_of(name, std::min(r.low + x * (r.high - r.low), r.high)));
        break;
      case Range::log_uniform:
        c.values.push_back(value_of(
            name, std::clamp(std::exp(std::log(r.low) + x * std::log(r.high / r.low)), r.low, r.high)));
        break;
      case Range::integers:
        c.values.push_back(value_of(name, std::min(r.low + std::floor(x * (r.high - r.low + 1)), r.high)));
        break;
      case Range::choices:
        c.values.push_back(
            value_of(name, r.texts[static_cast<std::size_t>(x * static_cast<double>(r.texts.size()))]));
        break;
    }
  }
  return c;
}

std::vector<Config> grid(const Space& space, int points) {
  if (points < 1) fail<ValueError>("grid: ", points, " points");
  std::vector<Config> all(1);
  for (const auto& [name, r] : space) {
    std::vector<Config::Value> values;
    const double many = r.kind == Range::integers  ? r.high - r.low + 1
                        : r.kind == Range::choices ? static_cast<double>(r.texts.size())
                                                   : points;
    if (many * static_cast<double>(all.size()) > 1e6)
      fail<ValueError>("grid: more than a million configurations");
    for (int i = 0; i < static_cast<int>(many); ++i) {
      if (r.kind == Range::choices) {
        values.push_back(value_of(name, r.texts[static_cast<std::size_t>(i)]));
      } else if (r.kind == Range::integers) {
        values.push_back(value_of(name, r.low + i));
      } else {
        const double x = points == 1 ? 0.5 : static_cast<double>(i) / (points - 1);
        values.push_back(value_of(
            name, r.kind == Range::uniform
                      ? r.low + x * (r.high - r.low)
                      : std::clamp(std::exp(std::log(r.low) + x * std::log(r.high / r.low)), r.low, r.high)));
      }
    }
    std::vector<Config> more;
    more.reserve(all.size() * values.size());
    for (const Config& c : all) {
      for (const Config::Value& v : values) {
        more.push_back(c);
        more.back().values.push_back(v);
      }
    }
    all = std::move(more);
  }
  return all;
}

namespace {
std::vector<Trial> search(std::vector<Config> configs, const Objective& f, const SearchOptions& o) {
  std::vector<Trial> trials;
  for (Config& c : configs) {
    Trial t;
    t.config = std::move(c);
    t.number = static_cast<int>(trials.size());
    trials.push_back(std::move(t));
  }
  detail::run_trials(trials, [&](const Trial& t) { return f(t.config); }, {o.seed, o.processes, o.seconds});
  std::sort(trials.begin(), trials.end());
  return trials;
}
}  // namespace

std::vector<Trial> random_search(const Space& space, const Objective& f, SearchOptions o) {
  if (o.trials < 1) fail<ValueError>("random_search: ", o.trials, " trials");
  std::vector<Config> configs;
  for (int i = 0; i < o.trials; ++i) configs.push_back(sample(space, o.seed, static_cast<std::uint64_t>(i)));
  return search(std::move(configs), f, o);
}
std::vector<Trial> grid_search(const Space& space, int points, const Objective& f, SearchOptions o) {
  return search(grid(space, points), f, o);
}

std::vector<Rung> hyperband_rungs(double max_resource, double reduction) {
  if (!(max_resource >= 1) || !std::isfinite(max_resource) || !(reduction > 1) || !std::isfinite(reduction))
    fail<ValueError>("hyperband: max_resource ", max_resource, ", reduction ", reduction);
  // Powers by multiplication, which is exact for integers; logarithms find one bracket too few for 243 and 3.
  std::vector<double> powers{1};
  while (powers.back() * reduction <= max_resource) {
    powers.push_back(powers.back() * reduction);
    if (powers.size() > 64)
      fail<ValueError>("hyperband: reduction ", reduction, " makes more than 64 brackets");
  }
  const std::size_t brackets = powers.size();
  std::vector<Rung> r;
  for (std::size_t s = brackets; s-- > 0;) {
    const double n = std::ceil(static_cast<double>(brackets) * powers[s] / static_cast<double>(s + 1));
    for (std::size_t i = 0; i <= s; ++i) {
      r.push_back({static_cast<int>(s), static_cast<std::int64_t>(std::max(std::floor(n / powers[i]), 1.0)),
                   max_resource / powers[s - i]});
    }
  }
  return r;
}

std::vector<Trial> hyperband(const Space& space, const std::function<double(const Config&, double)>& loss,
                             HyperbandOptions o) {
  std::vector<Trial> all, rung;
  std::uint64_t drawn = 0;
  int bracket = -1;
  for (const Rung& r : hyperband_rungs(o.max_resource, o.reduction)) {
    const auto n = static_cast<std::size_t>(r.configurations);
    if (r.bracket != bracket) {
      bracket = r.bracket;
      rung.clear();
      for (std::size_t i = 0; i < n; ++i) {
        rung.emplace_back();
        rung.back().config = sample(space, o.seed, drawn++);
      }
    } else {
      std::sort(rung.begin(), rung.end());
      rung.resize(std::min(n, rung.size()));
    }
    int number = static_cast<int>(all.size());
    for (Trial& t : rung) {
      t = Trial{.config = std::move(t.config), .resource = r.resource, .number = number++};
    }
    detail::run_trials(rung, [&](const Trial& t) { return loss(t.config, t.resource); },
                       {o.seed, o.processes, o.seconds});
    all.insert(all.end(), rung.begin(), rung.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

GoldenResult goldensection(const std::function<double(const std::vector<double>&)>& f, std::size_t n,
                           GoldenOptions o) {
  if (n < 1 || !(o.smallest > 0) || !std::isfinite(o.smallest) || !(o.factor > 1) ||
      !std::isfinite(o.factor) || o.evaluations < 1) {
    fail<ValueError>("goldensection: n ", n, ", smallest ", o.smallest, ", factor ", o.factor,
                     ", evaluations ", o.evaluations);
  }
  constexpr double inf = std::numeric_limits<double>::infinity();
  std::vector<std::pair<std::vector<double>, double>> seen;
  int evaluations = 0;
  const auto value = [&](const std::vector<double>& x) {
    for (const auto& [y, v] : seen) {
      bool near = true;
      for (std::size_t i = 0; near && i < n; ++i)
        near = std::abs(x[i] - y[i]) <= 1e-9 * std::max(1.0, std::abs(y[i]));
      if (near) return v;
    }
    const double v = f(x);
    ++evaluations;
    seen.emplace_back(x, std::isfinite(v) || v == -inf ? v : inf);
    return seen.back().second;
  };
  std::vector<double> x(n, 0.0), step(n, 1.0), gain(n, inf);
  double lowest = value(x);
  const auto small = [&](double d) { return std::abs(d) <= o.smallest; };
  while (!std::all_of(step.begin(), step.end(), small) && evaluations < o.evaluations && lowest != -inf) {
    const auto i = static_cast<std::size_t>(std::max_element(gain.begin(), gain.end()) - gain.begin());
    std::vector<double> next = x;
    next[i] += step[i];
    const double v = value(next);
    if (v < lowest) {
      step[i] *= o.factor;
      gain[i] = o.factor * (lowest - v);
      x = std::move(next);
      lowest = v;
      // At another point the finished coordinates deserve another look.
      for (std::size_t j = 0; j < n; ++j) {
        if (std::abs(step[j]) >= o.factor * o.smallest) continue;
        step[j] = std::copysign(o.factor * o.smallest, step[j]);
        gain[j] = std::max(gain[j], 0.0);
      }
    } else {
      // A step to where there is no number says nothing of what the other direction may bring.
      gain[i] = std::isfinite(v) ? (v - lowest) / o.factor : gain[i] / o.factor;
      step[i] = -step[i] / o.factor;
      if (small(step[i])) gain[i] = -1;
    }
  }
  return {lowest, x, evaluations};
}

}  // namespace knet::search
