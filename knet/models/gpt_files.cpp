// The first GPT's weights as OpenAI published them: the arrays of the model, one behind the other in a few
// flat files, and their shapes.
#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/io/npy.hpp"
#include "knet/models/gpt2.hpp"
#include "knet/models/published.hpp"
#include "knet/models/registry.hpp"
#include "knet/ops/shape.hpp"
#include "knet/text/json_file.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using knet::detail::JsonFile;

constexpr const char* who = "load_gpt";
constexpr Int head = 64, arrays_of_block = 12;

std::vector<Shape> read_shapes(const JsonFile& f) {
  if (!f.root.is_array()) f.bad("is ", f.root.type_name(), " (expected a list of shapes)");
  std::vector<Shape> shapes;
  for (const auto& j : f.root) {
    const auto bad = [&] { f.bad("array ", shapes.size(), " has the shape ", j.dump(), ", which is none"); };
    if (!j.is_array() || j.empty() || j.size() > 3) bad();
    std::vector<Int> sizes;
    for (const auto& n : j) {
      if (!n.is_number_unsigned() || n.get<std::uint64_t>() < 1 || n.get<std::uint64_t>() > 1'000'000) bad();
      sizes.push_back(n.get<Int>());
    }
    // Matrices are convolutions of one step there.
    if (sizes.size() == 3 && sizes[0] == 1) sizes.erase(sizes.begin());
    shapes.emplace_back(std::span<const Int>(sizes));
  }
  return shapes;
}

// The model's sizes by the first arrays; throws unless there are as many as some number of blocks has.
GPT2Config sizes_of(const JsonFile& f, const std::vector<Shape>& shapes) {
  const auto n = static_cast<Int>(shapes.size());
  if (n < 2 + arrays_of_block || (n - 2) % arrays_of_block != 0)
    f.bad("has ", n, " shapes, expected two tables and ", arrays_of_block, " arrays of each block");
  const Shape &places = shapes[0], &tokens = shapes[1], &inner = shapes[8];
  if (places.ndim() != 2 || tokens.ndim() != 2 || inner.ndim() != 2)
    f.bad("the tables are ", places, " and ", tokens, ", the first MLP's matrix is ", inner,
          "; expected two dimensions");
  if (places[1] % head != 0) f.bad("states have ", places[1], " numbers, expected a multiple of ", head);
  return {.vocabulary = tokens[0],
          .positions = places[0],
          .size = places[1],
          .layers = (n - 2) / arrays_of_block,
          .heads = places[1] / head,
          .hidden = inner[1],
          .init = 0,
          .norm_first = false};
}

// The names of the arrays, in the order of the files, and what they must be.
std::vector<std::pair<std::string, Shape>> expected_arrays(const GPT2Config& c) {
  std::vector<std::pair<std::string, Shape>> v{{"wpe.weight", {c.positions, c.size}},
                                               {"wte.weight", {c.vocabulary, c.size}}};
  for (Int i = 0; i < c.layers; ++i) {
    const std::string h = text("h.", i, ".");
    const auto matrix = [&](const char* name, Int in, Int out) {
      v.emplace_back(h + name + ".weight", Shape{in, out});
      v.emplace_back(h + name + ".bias", Shape{out});
    };
    const auto norm = [&](const char* name) {
      v.emplace_back(h + name + ".weight", Shape{c.size});
      v.emplace_back(h + name + ".bias", Shape{c.size});
    };
    matrix("attn.c_attn", c.size, 3 * c.size), matrix("attn.c_proj", c.size, c.size), norm("ln_1");
    matrix("mlp.c_fc", c.size, c.hidden), matrix("mlp.c_proj", c.hidden, c.size), norm("ln_2");
  }
  return v;
}

// All numbers of params_0.npy, params_1.npy and so on.
Tensor read_numbers(const std::string& folder, Int expected) {
  std::vector<Tensor> parts;
  Int count = 0;
  while (count < expected) {
    const std::string name = text("params_", parts.size(), ".npy");
    const std::string path = detail::find_file(folder, {name.c_str()});
    if (path.empty())
      fail<IoError>(who, ": ", folder, " has no ", name, "; the files before it hold ", count, " of ",
                    expected, " numbers");
    const Tensor t = io::load_npy(path);
    if (t.dtype() != f32 || t.ndim() != 1)
      fail<IoError>(who, ": ", path, " is ", t.shape(), " of ", t.dtype(), ", expected f32 in one dimension");
    count += t.numel();
    parts.push_back(t);
  }
  const std::string more = text("params_", parts.size(), ".npy");
  if (count != expected || !detail::find_file(folder, {more.c_str()}).empty())
    fail<IoError>(who, ": ", folder, ": there are more numbers than the ", expected,
                  " of params_shapes.json");
  return cat(parts);
}

}  // namespace

GPT2WithTokenizer load_gpt(const std::string& folder_or_name) {
  const std::string folder = text_model_folder(folder_or_name);
  const JsonFile f(who, detail::need_file(who, folder, {"params_shapes.json"}));
  const std::vector<Shape> shapes = read_shapes(f);
  const GPT2Config config = sizes_of(f, shapes);
  const auto arrays = expected_arrays(config);
  Int total = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto& [name, shape] = arrays[i];
    if (shapes[i] != shape) f.bad("array ", i, ", ", name, ", is ", shapes[i], ", expected ", shape);
    total += shape.numel();
  }
  Tokenizer tokenizer = load_gpt_tokenizer(detail::need_file(who, folder, {"encoder_bpe_40000.json"}),
                                           detail::need_file(who, folder, {"vocab_40000.bpe"}));
  if (tokenizer.vocabulary_size() > config.vocabulary)
    fail<IoError>(who, ": ", folder, ": the tokenizer has ", tokenizer.vocabulary_size(),
                  " tokens, the model ", config.vocabulary);
  const Tensor numbers = read_numbers(folder, total);
  GPT2 model{.config = config};
  model.config.init = GPT2Config{}.init;
  const auto named = named_params(model);
  Int at = 0;
  for (const auto& [name, shape] : arrays) {
    const auto p = std::find_if(named.begin(), named.end(), [&](const auto& e) { return e.name == name; });
    *p->param = numbers.narrow(0, at, shape.numel()).reshape(shape);
    at += shape.numel();
  }
  return {std::move(model), std::move(tokenizer)};
}

}  // namespace knet::models
