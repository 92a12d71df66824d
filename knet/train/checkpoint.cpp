#include "knet/train/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "knet/base/text.hpp"
#include "knet/device/random.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/train/model_tensors.hpp"

namespace knet {
namespace {
using nlohmann::json;

constexpr int version = 1;  // of the files written; all from 1 on are read
constexpr const char* key = "knet.checkpoint";

// JSON has no infinity and no NaN.
json to_json(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}
double to_double(const json& j) {
  if (j == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (j == "inf") return std::numeric_limits<double>::infinity();
  if (j == "-inf") return -std::numeric_limits<double>::infinity();
  if (!j.is_number()) throw IoError("not a number: " + j.dump());
  return j.get<double>();
}
template <class T>
T to_integer(const json& j) {
  // A number that is written as unsigned is at least 2^63 or not negative; both are read through 64 bits.
  if (j.is_number_unsigned()) {
    const auto u = j.get<std::uint64_t>();
    if (u <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())) return static_cast<T>(u);
  } else if (j.is_number_integer()) {
    const auto i = j.get<std::int64_t>();
    if constexpr (std::is_signed_v<T>) {
      if (i >= std::numeric_limits<T>::min()) return static_cast<T>(i);
    }
  }
  throw IoError("not an integer of the right size: " + j.dump());
}

std::string shape_of(const Tensor& t) { return text(t.dtype(), " ", t.shape()); }

// The JSON of a file, and its metadata, without trusting either.
json parse(const std::string& file, const io::Metadata& metadata) {
  const auto it = metadata.find(key);
  if (it == metadata.end())
    fail<IoError>("Checkpoint: ", file, " is not a checkpoint: its metadata has no \"", key, "\"");
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < it->second.size(); ++i) {
    const char c = it->second[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > 16) fail<IoError>("Checkpoint: ", file, ": its JSON is nested more than 16 deep");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  json j = json::parse(it->second, nullptr, false);
  if (!j.is_object() || !j.contains("version"))
    fail<IoError>("Checkpoint: ", file, ": \"", key, "\" is not a JSON object with a version");
  int v = 0;
  try {
    v = to_integer<int>(j["version"]);
  } catch (const IoError& e) {
    fail<IoError>("Checkpoint: ", file, ": version: ", e.what());
  }
  if (v < 1 || v > version) {
    fail<IoError>("Checkpoint: ", file, " is of version ", v, "; this library reads versions 1 to ", version);
  }
  return j;
}

CheckpointInfo info_of(const std::string& file, const json& j) {
  CheckpointInfo r;
  r.file = file;
  r.version = to_integer<int>(j.at("version"));
  r.epoch = to_integer<std::int64_t>(j.at("epoch"));
  r.step = to_integer<std::int64_t>(j.at("step"));
  for (const auto& [name, x] : j.at("metrics").items()) r.metrics[name] = to_double(x);
  for (const auto& [name, x] : j.at("things").items()) r.things[name] = x.get<std::string>();
  return r;
}
// Runs f; what the JSON library or we find wrong inside becomes an IoError with the file's name.
template <class F>
auto read(const std::string& file, const F& f) {
  try {
    return f();
  } catch (const json::exception& e) {
    fail<IoError>("Checkpoint: ", file, " is damaged: ", e.what());
  } catch (const IoError& e) {
    const std::string what = e.what();
    if (what.starts_with("Checkpoint: ")) throw;
    fail<IoError>("Checkpoint: ", file, " is damaged: ", what);
  }
}

struct Writer final : detail::FieldVisitor {
  json values = json::object();
  io::NamedTensors tensors;
  void boolean(bool& x) override { values[path] = x; }
  void integer(void* p, int bytes, bool is_signed) override {
    std::uint64_t u = 0;
    switch (bytes) {
      case 1: u = is_signed ? static_cast<std::uint64_t>(get<std::int8_t>(p)) : get<std::uint8_t>(p); break;
      case 2: u = is_signed ? static_cast<std::uint64_t>(get<std::int16_t>(p)) : get<std::uint16_t>(p); break;
      case 4: u = is_signed ? static_cast<std::uint64_t>(get<std::int32_t>(p)) : get<std::uint32_t>(p); break;
      default: u = get<std::uint64_t>(p);
    }
    values[path] = is_signed ? json(static_cast<std::int64_t>(u)) : json(u);
  }
  void real(double& x) override { values[path] = to_json(x); }
  void text(std::string& x) override { values[path] = x; }
  void tensor(Tensor& t) override {
    if (!t) fail<ValueError>("Checkpoint: the tensor ", path, " is empty (default constructed)");
    tensors.emplace_back(path, t);
  }
  void integers(std::vector<std::int64_t>& x) override { values[path] = x; }
  void reals(std::vector<double>& x) override {
    json a = json::array();
    for (const double v : x) a.push_back(to_json(v));
    values[path] = std::move(a);
  }
  void texts(std::vector<std::string>& x) override { values[path] = x; }

 private:
  template <class T>
  static T get(const void* p) {
    T x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
};

json optimizer_json(const std::string& name, Optimizer& o, io::NamedTensors& tensors) {
  if (o.accumulated() > 0)
    fail<ValueError>("Checkpoint: ", name, " has accumulated ", o.accumulated(),
                     " gradients; make the step first");
  json rules = json::array(), params = json::object();
  for (const Optimizer::Entry& e : o.entries()) {
    json settings = json::array();
    for (const auto& [field, x] : e.rule.settings()) settings.push_back({field, to_json(x)});
    json rule = {{"rule", e.rule.name()}, {"settings", std::move(settings)}};
    auto at = std::find(rules.begin(), rules.end(), rule);  // nearly always one or two
    if (at == rules.end()) at = rules.insert(rules.end(), std::move(rule));
    params[e.name] = {{"rule", at - rules.begin()}, {"step", e.slots.step}, {"slots", e.slots.t.size()}};
    for (std::size_t i = 0; i < e.slots.t.size(); ++i)
      tensors.emplace_back(text(name, '.', e.name, '.', i), e.slots.t[i]);
  }
  return {{"steps", o.steps()},
          {"clip_norm", o.clip_norm()},
          {"rules", std::move(rules)},
          {"params", std::move(params)}};
}

bool built_in(const std::string& rule) {
  static const std::set<std::string> names = {"SGD",     "Momentum", "Nesterov", "Adagrad",
                                              "Rmsprop", "Adadelta", "Adam",     "AdamW"};
  return names.contains(rule);
}

}  // namespace

CheckpointInfo checkpoint_info(const std::string& file) {
  const json j = parse(file, io::load_metadata(file));
  return read(file, [&] { return info_of(file, j); });
}

Checkpoint& Checkpoint::add_model(detail::AnyModel m, std::string name) {
  add({.name = std::move(name), .model = m});
  return *this;
}
Checkpoint& Checkpoint::optimizer(Optimizer& o, std::string name) {
  add({.name = std::move(name), .optimizer = &o});
  return *this;
}
Checkpoint& Checkpoint::add_value(std::string name, Value v) {
  add({.name = std::move(name), .value = std::move(v)});
  return *this;
}
void Checkpoint::add(Thing t) {
  if (t.name.empty() || t.name.find('.') != std::string::npos)
    fail<ValueError>("Checkpoint: \"", t.name, "\" as a name; expected some text without a dot");
  for (const Thing& other : things_) {
    if (other.name == t.name)
      fail<ValueError>("Checkpoint: two things are called \"", t.name, "\"; give one of them another name");
  }
  things_.push_back(std::move(t));
}

void Checkpoint::save(const std::string& file) const {
  Writer w;
  json things = json::object(), optimizers = json::object();
  for (const Thing& t : things_) {
    things[t.name] = t.kind();
    if (t.model.p) {
      for (const auto& e : detail::model_tensors(t.model))
        w.tensors.emplace_back(t.name + '.' + e.name, e.value());
    } else if (t.optimizer) {
      optimizers[t.name] = optimizer_json(t.name, *t.optimizer, w.tensors);
    } else {
      w.path = t.name;
      t.value.write(w);
    }
  }
  json results = json::object();
  for (const auto& [name, x] : metrics) results[name] = to_json(x);
  const RandomKey random = random_state();
  const json j = {{"version", version},
                  {"epoch", epoch},
                  {"step", step},
                  {"metrics", std::move(results)},
                  {"random", {{"seed", random.seed}, {"stream", random.stream}}},
                  {"things", std::move(things)},
                  {"optimizers", std::move(optimizers)},
                  {"values", std::move(w.values)}};
  std::string s;
  try {
    s = j.dump();
  } catch (const json::exception&) {
    fail<ValueError>("Checkpoint: ", file, ": a name or a text is not UTF-8");
  }
  io::save_safetensors(file, w.tensors, {{key, s}});
}

// One file being compared with what is there. Everything that does not fit becomes a line of `wrong`.
struct Checkpoint::Reader final : detail::FieldVisitor {
  const json& j;
  std::map<std::string, Tensor> tensors;  // not taken yet
  std::set<std::string> values;           // the same
  std::string wrong;
  std::vector<Change> changes;

  Reader(const json& all, io::SafeTensors&& f) : j(all) {
    for (auto& [name, t] : f.tensors) tensors.emplace(name, std::move(t));
    for (const auto& [name, x] : j.at("values").items()) values.insert(name);
  }
  template <class... A>
  void problem(const A&... a) {
    wrong += knet::text("\n  ", a...);
  }
  Tensor take(const std::string& name, const Tensor& now) {
    const auto it = tensors.find(name);
    if (it == tensors.end()) {
      problem("missing: ", name, ' ', shape_of(now));
      return {};
    }
    const Tensor t = std::move(it->second);
    tensors.erase(it);
    if (t.shape() == now.shape() && t.dtype() == now.dtype()) return t.to(now.device());
    problem(name, " is ", shape_of(t), " in the file and ", shape_of(now), " in the program");
    return {};
  }
  // Gives the value's JSON to f, whose complaints become ours.
  template <class F>
  void field(const F& f) {
    if (values.erase(path) == 0) return problem("missing: ", path);
    try {
      f(j.at("values").at(path));
    } catch (const std::exception& e) {
      problem(path, ": ", e.what());
    }
  }
  template <class T>
  static void put(void* p, const json& x) {
    const T v = to_integer<T>(x);
    std::memcpy(p, &v, sizeof v);
  }
  void boolean(bool& x) override {
    field([&](const json& v) { x = v.get<bool>(); });
  }
  void integer(void* p, int bytes, bool is_signed) override {
    field([&](const json& v) {
      switch (bytes) {
        case 1: return is_signed ? put<std::int8_t>(p, v) : put<std::uint8_t>(p, v);
        case 2: return is_signed ? put<std::int16_t>(p, v) : put<std::uint16_t>(p, v);
        case 4: return is_signed ? put<std::int32_t>(p, v) : put<std::uint32_t>(p, v);
        default: return is_signed ? put<std::int64_t>(p, v) : put<std::uint64_t>(p, v);
      }
    });
  }
  void real(double& x) override {
    field([&](const json& v) { x = to_double(v); });
  }
  void text(std::string& x) override {
    field([&](const json& v) { x = v.get<std::string>(); });
  }
  void tensor(Tensor& t) override {
    if (!t) return problem(path, ": the program's tensor is empty, so that no shape can be compared");
    if (const Tensor u = take(path, t)) t = u;
  }
  void integers(std::vector<std::int64_t>& x) override {
    field([&](const json& v) {
      std::vector<std::int64_t> y;
      for (const json& e : v.get_ref<const json::array_t&>()) y.push_back(to_integer<std::int64_t>(e));
      x = std::move(y);
    });
  }
  void reals(std::vector<double>& x) override {
    field([&](const json& v) {
      std::vector<double> y;
      for (const json& e : v.get_ref<const json::array_t&>()) y.push_back(to_double(e));
      x = std::move(y);
    });
  }
  void texts(std::vector<std::string>& x) override {
    field([&](const json& v) { x = v.get<std::vector<std::string>>(); });
  }

  void model(const Thing& thing) {
    auto now = detail::model_tensors(thing.model);
    std::vector<Tensor> put;
    io::NamedTensors old;
    for (const auto& e : now) {
      put.push_back(take(thing.name + '.' + e.name, e.value()));
      old.emplace_back(e.name, e.value());
    }
    changes.push_back({[now, put] {
                         for (std::size_t i = 0; i < now.size(); ++i) now[i].set(put[i]);
                       },
                       [m = thing.model, old] { detail::restore(m, old); }});
  }
  void optimizer(const Thing& thing);
  void entry(const std::string& name, const json& o, const json& saved, Optimizer::Entry& e);
};

void Checkpoint::Reader::entry(const std::string& name, const json& o, const json& saved,
                               Optimizer::Entry& e) {
  const json& rule = o.at("rules").at(to_integer<std::size_t>(saved.at("rule")));
  const auto kind = rule.at("rule").get<std::string>();
  if (kind != e.rule.name()) {
    problem(name, " is updated by ", kind, " in the file and by ", e.rule.name(), " in the program");
  } else {
    std::vector<Rule::Setting> settings;
    for (const json& s : rule.at("settings").get_ref<const json::array_t&>())
      settings.emplace_back(s.at(0).get<std::string>(), to_double(s.at(1)));
    try {
      e.rule = e.rule.with_settings(settings);
    } catch (const ValueError& error) {
      problem(name, ": ", error.what());
    }
  }
  Slots slots;
  slots.step = to_integer<std::int64_t>(saved.at("step"));
  const auto count = to_integer<std::size_t>(saved.at("slots"));
  for (std::size_t i = 0; i < count; ++i) {
    const auto it = tensors.find(knet::text(name, '.', i));
    if (it == tensors.end()) return problem("missing: ", name, '.', i);
    Tensor t = std::move(it->second);
    tensors.erase(it);
    const Tensor& like = i < e.slots.t.size() ? e.slots.t[i] : e.param->value();
    if ((i < e.slots.t.size() || built_in(kind)) && (t.shape() != like.shape() || t.dtype() != like.dtype()))
      problem(name, '.', i, " is ", shape_of(t), " in the file and ", shape_of(like), " in the program");
    slots.t.push_back(t.to(e.param->value().device()));
  }
  e.slots = std::move(slots);
}

void Checkpoint::Reader::optimizer(const Thing& thing) {
  const json& o = j.at("optimizers").at(thing.name);
  Optimizer* now = thing.optimizer;
  const auto made = std::make_shared<Optimizer>(*now), old = std::make_shared<Optimizer>(*now);
  std::set<std::string> left;
  for (const auto& [name, x] : o.at("params").items()) left.insert(name);
  for (Optimizer::Entry& e : made->entries()) {
    if (left.erase(e.name) == 0)
      problem("missing: ", thing.name, '.', e.name);
    else
      entry(thing.name + '.' + e.name, o, o.at("params").at(e.name), e);
  }
  for (const std::string& name : left) {
    problem("unexpected: ", thing.name, '.', name);
    const std::string begin = thing.name + '.' + name + '.';  // named once
    std::erase_if(tensors, [&](const auto& t) { return t.first.starts_with(begin); });
  }
  try {
    made->set_steps(to_integer<std::int64_t>(o.at("steps")));
    made->clip_norm(to_double(o.at("clip_norm")));
  } catch (const ValueError& e) {
    problem(thing.name, ": ", e.what());
  }
  changes.push_back({[now, made] { *now = *made; }, [now, old] { *now = *old; }});
}

void Checkpoint::load(const std::string& file, CheckpointLoad o) {
  io::SafeTensors f = io::load_safetensors(file);
  const json j = parse(file, f.metadata);
  const CheckpointInfo info = read(file, [&] { return info_of(file, j); });
  RandomKey random;
  std::string wrong;
  std::vector<Change> changes;
  read(file, [&] {
    random = {to_integer<std::uint64_t>(j.at("random").at("seed")),
              to_integer<std::uint64_t>(j.at("random").at("stream"))};
    Reader r(j, std::move(f));
    auto unread = info.things;
    for (const Thing& t : things_) {
      const auto it = unread.find(t.name);
      if (it == unread.end()) {
        if (!o.partial) r.problem("missing: the ", t.kind(), " \"", t.name, "\"");
        continue;
      }
      const std::string kind = it->second;
      unread.erase(it);
      if (kind != t.kind()) {
        r.problem("\"", t.name, "\" is a ", kind, " in the file and a ", t.kind(), " in the program");
      } else if (t.model.p) {
        r.model(t);
      } else if (t.optimizer) {
        r.optimizer(t);
      } else {
        r.path = t.name;
        r.changes.push_back(t.value.read(r));
      }
    }
    // What nobody took: parts of things that are here; or whole things, each named once.
    const auto of_unread = [&](const std::string& name) {
      return unread.contains(name.substr(0, name.find('.')));
    };
    for (const auto& [name, t] : r.tensors) {
      if (!of_unread(name)) r.problem("unexpected: ", name, ' ', shape_of(t));
    }
    for (const std::string& name : r.values) {
      if (!of_unread(name)) r.problem("unexpected: ", name);
    }
    if (!o.partial) {
      for (const auto& [name, kind] : unread) r.problem("unexpected: the ", kind, " \"", name, "\"");
    }
    wrong = std::move(r.wrong);
    changes = std::move(r.changes);
  });
  if (!wrong.empty()) fail<IoError>("Checkpoint: ", file, " does not fit the program:", wrong);
  std::size_t made = 0;
  try {
    for (; made < changes.size(); ++made) changes[made].make();
  } catch (...) {  // a set_state() that refuses its numbers
    while (made-- > 0) changes[made].undo();
    throw;
  }
  epoch = info.epoch;
  step = info.step;
  metrics = info.metrics;
  if (!o.partial) set_random_state(random);
}

}  // namespace knet
