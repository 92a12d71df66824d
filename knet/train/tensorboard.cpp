// The messages are those of TensorFlow's event.proto, summary.proto and graph.proto, by field number.
#include "knet/train/tensorboard.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include <unistd.h>

#include "knet/base/text.hpp"
#include "knet/io/png.hpp"
#include "knet/tensor/access.hpp"
#include "knet/train/append_file.hpp"
#include "knet/train/event_file.hpp"

namespace knet {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}
std::string new_path(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail<IoError>("SummaryWriter: ", folder, " cannot be made: ", error.message());
  static std::atomic<int> count{0};
  char host[256] = "localhost";
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '?', host[1] = 0;
  // TensorBoard reads a folder's files in the order of their names.
  return text(folder, "/events.out.tfevents.", static_cast<std::int64_t>(wall_time()), ".",
              static_cast<const char*>(host), ".", static_cast<int>(::getpid()), ".", count++);
}
/// SummaryMetadata of a plugin.
Message plugin(const char* name, const std::string& content = {}) {
  Message data;
  data.bytes(1, name);
  if (!content.empty()) data.bytes(2, content);
  return Message().message(1, data);
}
Message shape_message(const Shape& s) {
  Message m;
  for (const std::int64_t n : s) m.message(2, Message().integer(1, n));
  return m;
}
int type_number(DType t) {
  switch (t) {
    case f32: return 1;
    case f64: return 2;
    case i32: return 3;
    case u8: return 4;
    case i64: return 9;
    case boolean: return 10;
    default: return 0;
  }
}

/// "layers.0" and "Dense" as "layers/0/Dense"; names are made of letters, digits and _.-/
std::string scoped(const std::string& layer, const std::string& name) {
  std::string s = layer.empty() ? name : layer + "." + name;
  for (char& c : s) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!fine) c = c == '.' ? '/' : '_';
  }
  return s;
}

}  // namespace

struct SummaryWriter::State {
  State(const std::string& folder, SummaryWriterOptions o)
      : file("SummaryWriter", new_path(folder), true), options(o) {
    add(Message().bytes(3, "brain.Event:2"), 0);
    if (options.purge_step >= 0) add(Message().message(7, Message().integer(1, 1)), options.purge_step);
    write();
  }
  std::mutex mutex;
  AppendFile file;
  SummaryWriterOptions options;
  std::string waiting;
  std::chrono::steady_clock::time_point written = std::chrono::steady_clock::now();

  void write() {
    if (!waiting.empty()) file.write(waiting);
    waiting.clear();
    written = std::chrono::steady_clock::now();
  }
  /// The rest of an Event.
  void add(const Message& rest, std::int64_t step) {
    Message event;
    event.number(1, wall_time()).integer(2, step);
    waiting += event_record(event.text() + rest.text());
  }
  void event(const Message& rest, std::int64_t step) {
    const std::lock_guard lock(mutex);
    add(rest, step);
    if (waiting.size() > (std::size_t{1} << 18) ||
        std::chrono::duration<double>(std::chrono::steady_clock::now() - written).count() >=
            options.flush_seconds)
      write();
  }
  void summary(std::string_view tag, const Message& value, std::int64_t step) {
    Message v;
    v.bytes(1, tag);
    Message whole;
    whole.bytes(1, v.text() + value.text());
    event(Message().message(5, whole), step);
  }
};

SummaryWriter::SummaryWriter(const std::string& folder, SummaryWriterOptions o)
    : state_(std::make_unique<State>(folder, o)) {}
SummaryWriter::~SummaryWriter() {
  if (!state_) return;
  try {
    flush();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
}
SummaryWriter::SummaryWriter(SummaryWriter&&) noexcept = default;
SummaryWriter& SummaryWriter::operator=(SummaryWriter&& o) noexcept {
  std::swap(state_, o.state_);
  return *this;
}
void SummaryWriter::flush() {
  const std::lock_guard lock(state_->mutex);
  state_->write();
  state_->file.sync();
}
const std::string& SummaryWriter::path() const { return state_->file.path(); }

void SummaryWriter::scalar(std::string_view tag, double value, std::int64_t step) {
  state_->summary(tag, Message().single(2, static_cast<float>(value)), step);
}

void SummaryWriter::histogram(std::string_view tag, const Tensor& values, std::int64_t step) {
  check_defined("SummaryWriter::histogram", values);
  constexpr std::size_t bins = 64;
  double low = 0, high = 0, sum = 0, squares = 0, n = 0;
  const std::vector<double> all = values.detach().to_vector<double>();
  for (const double v : all) {
    if (!std::isfinite(v)) continue;
    low = n == 0 ? v : std::min(low, v);
    high = n == 0 ? v : std::max(high, v);
    sum += v, squares += v * v, ++n;
  }
  std::vector<double> limits, counts;
  const double step_size = high / bins - low / bins;
  if (!(step_size > 0)) {
    limits = {high}, counts = {n};
  } else {
    for (std::size_t i = 1; i <= bins; ++i)
      limits.push_back(i == bins ? high : low + step_size * static_cast<double>(i));
    counts.resize(bins);
    for (const double v : all) {
      if (std::isfinite(v)) ++counts[std::min(bins - 1, static_cast<std::size_t>((v - low) / step_size))];
    }
  }
  Message histogram;
  histogram.number(1, low).number(2, high).number(3, n).number(4, sum).number(5, squares);
  histogram.packed(6, limits).packed(7, counts);
  state_->summary(tag, Message().message(5, histogram), step);
}

void SummaryWriter::image(std::string_view tag, const Tensor& image, std::int64_t step) {
  const std::vector<std::byte> png = io::encode_png(image);
  Message m;
  m.integer(1, image.size(-2)).integer(2, image.size(-1));
  m.integer(3, image.ndim() == 3 && image.size(0) == 3 ? 3 : 1);
  m.bytes(4, {reinterpret_cast<const char*>(png.data()), png.size()});
  state_->summary(tag, Message().message(4, m), step);
}

void SummaryWriter::text(std::string_view tag, std::string_view text, std::int64_t step) {
  Message tensor;
  tensor.integer(1, 7).message(2, shape_message({1})).bytes(8, text);
  state_->summary(tag, Message().message(8, tensor).message(9, plugin("text")), step);
}

void SummaryWriter::hyperparameters(const LogRow& values) {
  Message session;
  for (const auto& [name, v] : values) {
    Message value;  // google.protobuf.Value
    if (const auto* s = std::get_if<std::string>(&v.value))
      value.bytes(3, *s);
    else if (const auto* b = std::get_if<bool>(&v.value))
      value.integer(4, *b);
    else if (const auto* i = std::get_if<std::int64_t>(&v.value))
      value.number(2, static_cast<double>(*i));
    else
      value.number(2, std::get<double>(v.value));
    session.message(1, Message().bytes(1, name).message(2, value));
  }
  session.number(5, wall_time());
  const Message data = Message().integer(1, 0).message(3, session);
  state_->summary("_hparams_/session_start_info", Message().message(9, plugin("hparams", data.text())), 0);
}

void SummaryWriter::graph(const Trace& trace) {
  std::set<std::string> taken;
  std::vector<std::string> names;
  Message graph;
  for (const TracedOp& op : trace.ops) {
    const std::string& layer =
        op.layer >= 0 ? trace.layers[static_cast<std::size_t>(op.layer)].name : std::string();
    std::string name = op.kind == TracedOp::Kind::op ? scoped(layer, op.name) : scoped("", op.name);
    for (int i = 1; !taken.insert(name).second; ++i) {
      if (i > 1) name.resize(name.rfind('_'));
      name += "_" + std::to_string(i);
    }
    Message node;
    node.bytes(1, name);
    node.bytes(2, op.kind == TracedOp::Kind::op      ? op.name
                  : op.kind == TracedOp::Kind::param ? "Parameter"
                                                     : "Placeholder");
    for (const int i : op.inputs) node.bytes(3, names[static_cast<std::size_t>(i)]);
    const auto attribute = [&](const char* key, const Message& value) {
      node.message(5, Message().bytes(1, key).message(2, value));
    };
    attribute("_output_shapes", Message().message(1, Message().message(7, shape_message(op.shape))));
    attribute("T", Message().integer(6, type_number(op.dtype)));
    if (op.flops > 0) attribute("flops", Message().integer(3, static_cast<std::int64_t>(op.flops)));
    if (op.kind == TracedOp::Kind::op && op.layer >= 0)
      attribute("layer", Message().bytes(2, trace.layers[static_cast<std::size_t>(op.layer)].description));
    graph.message(1, node);
    names.push_back(std::move(name));
  }
  graph.message(4, Message().integer(1, 22));
  state_->event(Message().message(4, graph), 0);
}

}  // namespace knet
