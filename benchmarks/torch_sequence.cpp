// Recurrent networks and attention, LibTorch's side. Its recurrent layers are faster with time first,
// [time, batch, features]; the loss and the checked values are the same sums in another order.
#include <ATen/ATen.h>
#include <torch/version.h>

#include "torch.hpp"

namespace {

using bench::Workload;
using peer::digest;
using peer::drop_gradients;
using peer::relu_of;
using peer::tensor;
using torch::Tensor;
namespace nn = torch::nn;
using Size = std::vector<std::int64_t>;

std::size_t count(const Size& size) {
  std::size_t n = 1;
  for (const auto s : size) n *= static_cast<std::size_t>(s);
  return n;
}
Tensor values(std::uint32_t seed, const Size& s) { return tensor(bench::uniform(seed, count(s), -1, 1), s); }
// [batch, time, ...] of the other side, time first.
Tensor time_first(const Tensor& t) { return t.transpose(0, 1).contiguous(); }
Tensor tokens(std::uint32_t seed, const Size& s, std::int64_t below) {
  return time_first(tensor(bench::integers(seed, count(s), static_cast<std::size_t>(below)), s));
}

// A step of training of `model` with the loss that `loss(model)` gives.
template <class M, class Loss, class Make>
Workload training(std::shared_ptr<M> model, Loss loss, Make make, int check_steps = 3) {
  struct State {
    std::shared_ptr<M> model;
    std::vector<Tensor> parameters;
    std::unique_ptr<torch::optim::Optimizer> optimizer;
    double value = 0;
  };
  auto s = std::make_shared<State>();
  s->model = std::move(model);
  peer::start(*s->model);
  s->parameters = s->model->parameters();
  Workload w;
  w.reset = [s, make] {
    peer::start(*s->model);
    s->optimizer = make(s->parameters);
  };
  w.step = [s, loss] {
    drop_gradients(s->parameters);
    const Tensor l = loss(*s->model);
    l.backward();
    if (s->optimizer) s->optimizer->step();
    s->value = l.template item<double>();
  };
  w.check = [s] {
    if (s->optimizer) return s->value;
    double sum = s->value;
    for (const Tensor& p : s->parameters) sum += p.grad().norm().template item<double>();
    return sum;
  };
  w.check_steps = check_steps;
  return w;
}
template <class F>
Workload inference(F f) {
  auto y = std::make_shared<Tensor>();
  Workload w;
  w.reset = [] {};
  w.step = [f, y] {
    const c10::InferenceMode guard;
    *y = f();
  };
  w.check = [y] { return digest(*y); };
  w.check_steps = 1;
  return w;
}
using Optimizer = std::unique_ptr<torch::optim::Optimizer>;
using Parameters = std::vector<Tensor>;
Optimizer none(const Parameters&) { return {}; }
auto adam(double lr) {
  return [lr](const Parameters& p) -> Optimizer {
    return std::make_unique<torch::optim::Adam>(p, torch::optim::AdamOptions(lr));
  };
}

// nn::LSTM with an embedding below it, under our names.
struct TokenLstm : nn::LSTMImpl {
  nn::Embedding embedding;
  TokenLstm(std::int64_t words, std::int64_t size, std::int64_t hidden, bool sparse = false)
      : nn::LSTMImpl(nn::LSTMOptions(size, hidden)),
        embedding(
            register_module("embedding", nn::Embedding(nn::EmbeddingOptions(words, size).sparse(sparse)))) {}
};
struct SorterImpl : nn::Module {
  std::shared_ptr<TokenLstm> encoder = register_module("encoder", std::make_shared<TokenLstm>(11, 9, 128)),
                             decoder = register_module("decoder", std::make_shared<TokenLstm>(11, 9, 128));
  nn::Linear output = register_module("output", nn::Linear(nn::LinearOptions(128, 11).bias(false)));
  Tensor forward(const Tensor& x, const Tensor& before) {
    const Tensor h = std::get<0>(std::get<1>(encoder->forward(encoder->embedding(x))));
    return output(
        std::get<0>(decoder->forward(decoder->embedding(before), std::make_tuple(h, torch::zeros_like(h)))));
  }
};
Tensor nll(const Tensor& scores, const Tensor& labels) {
  return torch::cross_entropy_loss(scores.flatten(0, 1), labels.flatten());
}
Workload s2s_train() {
  return training(
      std::make_shared<SorterImpl>(),
      [x = tokens(80, {64, 15}, 11), b = tokens(81, {64, 16}, 11),
       y = tokens(82, {64, 16}, 11)](SorterImpl& m) { return nll(m.forward(x, b), y); },
      adam(1e-3));
}
Workload s2s_infer() {
  auto m = std::make_shared<SorterImpl>();
  peer::start(*m);
  return inference([m, x = tokens(80, {64, 15}, 11), b = tokens(81, {64, 16}, 11)] {
    return m->forward(x, b).transpose(0, 1);
  });
}

template <class Impl, class Options>
Workload recurrent(std::int64_t layers) {
  return training(
      std::make_shared<Impl>(Options(256, 256).num_layers(layers)),
      [x = time_first(values(90, {32, 64, 256})), c = time_first(values(91, {32, 64, 256}))](Impl& m) {
        return (std::get<0>(m.forward(x)) * c).sum();
      },
      none, 1);
}
Workload lstm_packed() {
  std::vector<Tensor> xs;
  for (std::int64_t i = 0; i < 32; ++i)
    xs.push_back(values(100 + static_cast<std::uint32_t>(i), {64 - 2 * (i / 2) * 15 / 8, 256}));
  const auto packed = nn::utils::rnn::pack_sequence(xs);
  const Tensor c = values(91, {packed.data().size(0), 256});
  return training(
      std::make_shared<nn::LSTMImpl>(nn::LSTMOptions(256, 256).num_layers(2)),
      [packed, c](nn::LSTMImpl& m) {
        return (std::get<0>(m.forward_with_packed_input(packed)).data() * c).sum();
      },
      none, 1);
}
Workload lstm_step() {
  auto m = std::make_shared<nn::LSTMImpl>(nn::LSTMOptions(256, 256).num_layers(2));
  peer::start(*m);
  return inference(
      [m, x = values(90, {1, 1, 256}), h = values(92, {2, 1, 256}), c = values(93, {2, 1, 256})] {
        return std::get<0>(m->forward(x, std::make_tuple(h, c)));
      });
}

struct LanguageModelImpl : nn::Module {
  std::shared_ptr<TokenLstm> lstm =
      register_module("lstm", std::make_shared<TokenLstm>(5000, 256, 256, true));
  nn::Linear output = register_module("output", nn::Linear(256, 5000));
};
Workload lm_train() {
  return training(
      std::make_shared<LanguageModelImpl>(),
      [x = tokens(110, {32, 64}, 5000), y = tokens(111, {32, 64}, 5000)](LanguageModelImpl& m) {
        return nll(m.output(std::get<0>(m.lstm->forward(m.lstm->embedding(x)))), y);
      },
      [](const Parameters& p) -> Optimizer {
        return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(0.1));
      });
}

// Morse (knet/models/morse.hpp) on one sentence: words packed where final states are wanted, outputs padded.
struct MorseImpl : nn::Module {
  nn::Embedding character_embed = register_module("character_embed", nn::Embedding(50, 64)),
                symbol_embed = register_module("symbol_embed", nn::Embedding(113, 256));
  nn::LSTM character_lstm = register_module("character_lstm", nn::LSTM(64, 128)),
           context_lstm =
               register_module("context_lstm", nn::LSTM(nn::LSTMOptions(128, 128).bidirectional(true))),
           tag_lstm = register_module("tag_lstm", nn::LSTM(256, 128)),
           decoder1 = register_module("decoder1", nn::LSTM(256, 128)),
           decoder2 = register_module("decoder2", nn::LSTM(128, 128));
  nn::Linear context_output = register_module("context_output", nn::Linear(256, 128)),
             output = register_module("output", nn::Linear(128, 113));
  // ids [time, words] and their lengths -> final states [words, 128]
  static std::pair<Tensor, Tensor> last(nn::LSTM& lstm, const Tensor& x, const Tensor& lengths) {
    const auto packed = nn::utils::rnn::pack_padded_sequence(x, lengths, false, false);
    const auto state = std::get<1>(lstm->forward_with_packed_input(packed));
    return {std::get<0>(state).squeeze(0), std::get<1>(state).squeeze(0)};
  }
  Tensor loss(const std::pair<Tensor, Tensor>& characters, const std::pair<Tensor, Tensor>& history,
              const Tensor& before, const Tensor& after) {
    auto [h, c] = last(character_lstm, character_embed(characters.first), characters.second);
    const Tensor context = std::get<0>(context_lstm->forward(h.unsqueeze(1))).squeeze(1);
    const Tensor x = relu_of(context_output(context));
    // The first word has no word before it.
    const auto tags = last(tag_lstm, symbol_embed(history.first), history.second);
    const Tensor none = torch::zeros({1, 128});
    h = h + torch::cat({none, tags.first});
    c = c + torch::cat({none, tags.second});
    const auto one = [](const Tensor& t) { return t.unsqueeze(0); };
    const Tensor y1 = std::get<0>(
        decoder1->forward(symbol_embed(before), std::make_tuple(one(x), one(torch::zeros_like(x)))));
    const Tensor y2 = std::get<0>(decoder2->forward(y1, std::make_tuple(one(h), one(c))));
    return torch::cross_entropy_loss(output(y2).flatten(0, 1), after.flatten(), {}, at::Reduction::Mean, -1);
  }
};
// Sequences side by side, [time, sequences], and their lengths.
std::pair<Tensor, Tensor> padded(const std::vector<std::vector<std::int64_t>>& sequences,
                                 std::int64_t filler) {
  std::vector<Tensor> columns;
  std::vector<std::int64_t> lengths;
  for (const auto& s : sequences) {
    lengths.push_back(static_cast<std::int64_t>(s.size()));
    columns.push_back(tensor(s, lengths.back()));
  }
  return {nn::utils::rnn::pad_sequence(columns, false, static_cast<double>(filler)),
          tensor(lengths, static_cast<std::int64_t>(lengths.size()))};
}
Workload morse_train() {
  const bench::MorseWords words;
  std::vector<std::vector<std::int64_t>> history, before, after;
  for (std::size_t i = 0; i < words.characters.size(); ++i) {
    if (i > 0) {
      history.emplace_back();
      for (std::size_t k = i < 2 ? 0 : i - 2; k < i; ++k)
        history.back().insert(history.back().end(), words.tags[k].begin(), words.tags[k].end());
    }
    after.push_back(words.letters[i]);
    after[i].insert(after[i].end(), words.tags[i].begin(), words.tags[i].end());
    before.push_back(after[i]);
    before[i].insert(before[i].begin(), 3);
    after[i].push_back(2);
  }
  return training(
      std::make_shared<MorseImpl>(),
      [c = padded(words.characters, 0), h = padded(history, 0), b = padded(before, 0).first,
       a = padded(after, -1).first](MorseImpl& m) { return m.loss(c, h, b, a); },
      [](const Parameters& p) -> Optimizer {
        return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(0.1));
      });
}

// Query [batch, heads, time, size] and so on.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v) {
#if TORCH_VERSION_MAJOR >= 2
  return torch::scaled_dot_product_attention(q, k, v);
#else
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  return torch::matmul(torch::softmax(torch::matmul(q * scale, k.transpose(-2, -1)), -1), v);
#endif
}
// An encoder layer normalised last, with our names.
struct EncoderLayerImpl : nn::Module {
  struct Projections : nn::Module {
    nn::Linear query, key, value, output;
    explicit Projections(std::int64_t n)
        : query(register_module("query", nn::Linear(n, n))),
          key(register_module("key", nn::Linear(n, n))),
          value(register_module("value", nn::Linear(n, n))),
          output(register_module("output", nn::Linear(n, n))) {}
  };
  struct FeedForward : nn::Module {
    std::shared_ptr<nn::Module> layers = register_module("layers", std::make_shared<nn::Module>());
    nn::Linear in, out;
    explicit FeedForward(std::int64_t n)
        : in(layers->register_module("0", nn::Linear(n, 4 * n))),
          out(layers->register_module("1", nn::Linear(4 * n, n))) {}
  };
  std::int64_t size, heads_;
  bool gelu;
  std::shared_ptr<Projections> attention_ = register_module("attention", std::make_shared<Projections>(size));
  nn::LayerNorm norm1 = register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({size})));
  std::shared_ptr<FeedForward> feedforward =
      register_module("feedforward", std::make_shared<FeedForward>(size));
  nn::LayerNorm norm2 = register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({size})));
  explicit EncoderLayerImpl(std::int64_t n = 256, std::int64_t heads = 8, bool with_gelu = false)
      : size(n), heads_(heads), gelu(with_gelu) {}
  Tensor forward(const Tensor& x) {
    const auto heads = [&](nn::Linear& l) {
      return l(x).view({x.size(0), x.size(1), heads_, size / heads_}).transpose(1, 2);
    };
    const Tensor a = attention(heads(attention_->query), heads(attention_->key), heads(attention_->value));
    const Tensor h = norm1(x + attention_->output(a.transpose(1, 2).flatten(2)));
    const Tensor inner = feedforward->in(h);
    return norm2(h + feedforward->out(gelu ? torch::gelu(inner) : relu_of(inner)));
  }
};
Workload transformer_train() {
  return training(
      std::make_shared<EncoderLayerImpl>(),
      [x = values(120, {16, 64, 256}), c = values(121, {16, 64, 256})](EncoderLayerImpl& m) {
        return (m.forward(x) * c).mean();
      },
      adam(1e-4));
}
Workload transformer_infer() {
  auto m = std::make_shared<EncoderLayerImpl>();
  peer::start(*m);
  return inference([m, x = values(120, {16, 64, 256})] { return m->forward(x); });
}

Tensor elu_of(Tensor x) { return torch::elu_(x); }
// models::MAC in its second configuration under our names; knowledge and the parts of a step that do not
// depend on the step are computed once, as there, and images once for all their questions.
struct MacImpl : nn::Module {
  static constexpr std::int64_t d = 64, steps = 4;
  struct Stem : nn::Module {
    std::vector<nn::Conv2d> conv;
    std::vector<nn::BatchNorm2d> bn;
    Stem() {
      const std::int64_t channels[] = {3, 16, 32, 64, 64}, stride[] = {3, 2, 2, 1}, padding[] = {0, 1, 1, 1};
      for (int i = 0; i < 4; ++i) {
        const int at = i < 3 ? 2 * i : 7;  // coordinates have place 6
        conv.push_back(
            register_module(std::to_string(at),
                            nn::Conv2d(nn::Conv2dOptions(channels[i] + (i == 3 ? 2 : 0), channels[i + 1], 3)
                                           .stride(stride[i])
                                           .padding(padding[i])
                                           .bias(false))));
        bn.push_back(register_module(std::to_string(at + 1), nn::BatchNorm2d(channels[i + 1])));
      }
    }
    Tensor forward(Tensor x) {
      for (std::size_t i = 0; i < 4; ++i) {
        if (i == 3) {
          const std::int64_t n = x.size(0), h = x.size(2), w = x.size(3);
          x = torch::cat({x, torch::linspace(-1, 1, w).view({1, 1, 1, w}).expand({n, 1, h, w}),
                          torch::linspace(-1, 1, h).view({1, 1, h, 1}).expand({n, 1, h, w})},
                         1);
        }
        x = relu_of(bn[i](conv[i](x)));
      }
      return x;
    }
  };
  nn::Linear linear(const char* name, std::int64_t in, std::int64_t out, bool bias = true) {
    return register_module(name, nn::Linear(nn::LinearOptions(in, out).bias(bias)));
  }
  std::shared_ptr<Stem> stem = register_module("stem", std::make_shared<Stem>());
  nn::Embedding embed = register_module("embed", nn::Embedding(11, 32));
  nn::LSTM lstm =
      register_module("lstm", nn::LSTM(nn::LSTMOptions(32, d).bidirectional(true).batch_first(true)));
  nn::Linear words = linear("words", 2 * d, d), queries = linear("queries", 2 * d, steps*d);
  Tensor first_control = register_parameter("first_control", torch::zeros({d})),
         first_memory = register_parameter("first_memory", torch::zeros({d}));
  nn::Linear keys = linear("keys", d, d), keys2 = linear("keys2", d, d),
             control = linear("control", 2 * d, d), control_score = linear("control_score", d, 1, false),
             memory = linear("memory", d, d), interaction = linear("interaction", d, d, false),
             read_score = linear("read_score", d, 1, false), write = linear("write", 2 * d, d),
             history = linear("history", d, d), history_score = linear("history_score", d, 1, false),
             history_memory = linear("history_memory", d, d, false), gate = linear("gate", d, 1),
             question = linear("question", 2 * d, d), answer = linear("answer", 2 * d, d),
             output = linear("output", d, 10);

  static Tensor attend(const Tensor& query, const Tensor& k, const Tensor& v) {
    return torch::bmm(torch::softmax(torch::bmm(query.unsqueeze(1), k.transpose(1, 2)), -1), v).squeeze(1);
  }
  Tensor forward(const Tensor& images, const Tensor& ids, const Tensor& image_of) {
    const std::int64_t n = ids.size(0);
    Tensor k = keys(stem->forward(images).permute({0, 2, 3, 1}).flatten(1, 2)), k2 = keys2(k);
    k = k.index_select(0, image_of), k2 = k2.index_select(0, image_of);
    const auto read = lstm->forward(embed(ids));
    const Tensor h = std::get<0>(std::get<1>(read)), q = torch::cat({h[0], h[1]}, 1),
                 cw = words(std::get<0>(read));
    const Tensor of_query =
        torch::linear(queries(q).view({n, steps, d}), control->weight.narrow(1, d, d), control->bias);
    const Tensor of_control = control->weight.narrow(1, 0, d);
    std::vector<Tensor> controls{first_control.expand({n, d})}, memories{first_memory.expand({n, d})};
    for (std::int64_t i = 0; i < steps; ++i) {
      const Tensor u = torch::linear(controls.back(), of_control).add_(of_query.select(1, i));
      const Tensor c = attend(u * control_score->weight, cw, cw), m = memories.back();
      const Tensor met = elu_of(interaction(memory(m).unsqueeze(1) * k).add_(k2));
      const Tensor b = torch::softmax(read_score(elu_of(c.unsqueeze(1) * met)).squeeze(2), 1);
      const Tensor r = torch::bmm(b.unsqueeze(1), k).squeeze(1);
      Tensor next = write(torch::cat({r, m}, 1));
      next = next + history_memory(attend(history(c) * history_score->weight, torch::stack(controls, 1),
                                          torch::stack(memories, 1)));
      memories.push_back(next + torch::sigmoid(gate(c)) * (m - next));
      controls.push_back(c);
    }
    return output(elu_of(answer(torch::cat({elu_of(question(q)), memories.back()}, 1))));
  }
};
Workload mac_train() {
  const Tensor ids = tensor(bench::integers(140, 160 * 3, 11), {160, 3}),
               image_of = torch::arange(8).view({8, 1}).expand({8, 20}).reshape({160});
  return training(
      std::make_shared<MacImpl>(),
      [x = peer::image(values(141, {8, 3, 75, 75})), ids, image_of,
       y = tensor(bench::integers(142, 160, 10), {160})](MacImpl& m) {
        return torch::cross_entropy_loss(m.forward(x, ids, image_of), y);
      },
      adam(1e-3));
}

Workload attention_2048() {
  struct State {
    Tensor q = values(130, {1, 8, 2048, 64}).requires_grad_(),
           k = values(131, {1, 8, 2048, 64}).requires_grad_(),
           v = values(132, {1, 8, 2048, 64}).requires_grad_(), c = values(133, {1, 8, 2048, 64});
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    for (Tensor* t : {&s->q, &s->k, &s->v}) t->mutable_grad() = Tensor();
    (attention(s->q, s->k, s->v) * s->c).sum().backward();
  };
  w.check = [s] { return digest(s->q.grad()) + digest(s->k.grad()) + digest(s->v.grad()); };
  w.check_steps = 1;
  return w;
}

struct SentenceModelImpl : nn::Module {
  nn::Embedding words = register_module("words", nn::Embedding(5000, 384)),
                places = register_module("places", nn::Embedding(512, 384));
  nn::LayerNorm norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({384})));
  nn::ModuleList layers = register_module("layers", nn::ModuleList());
  SentenceModelImpl() {
    for (int i = 0; i < 6; ++i) layers->push_back(std::make_shared<EncoderLayerImpl>(384, 12, true));
  }
  Tensor forward(const Tensor& ids) {
    Tensor h = norm(words(ids) + places->weight.narrow(0, 0, ids.size(1)));
    for (const auto& l : *layers) h = l->as<EncoderLayerImpl>()->forward(h);
    return h.mean(1);
  }
};
Workload sentence_infer() {
  auto m = std::make_shared<SentenceModelImpl>();
  peer::start(*m);
  return inference([m, x = tensor(bench::integers(140, 32, 5000), {1, 32})] { return m->forward(x); });
}

// GPT-2 small with the published names, keys and values of the tokens before at hand.
struct Gpt2Impl : nn::Module {
  static constexpr std::int64_t size = 768, heads = 12, blocks = 12;
  struct Matrix : nn::Module {
    Tensor weight, bias;
    Matrix(std::int64_t in, std::int64_t out)
        : weight(register_parameter("weight", torch::empty({in, out}))),
          bias(register_parameter("bias", torch::empty({out}))) {}
    Tensor forward(const Tensor& x) const { return torch::addmm(bias, x, weight); }
  };
  struct Block : nn::Module {
    nn::LayerNorm ln_1 = register_module("ln_1", nn::LayerNorm(nn::LayerNormOptions({size}))),
                  ln_2 = register_module("ln_2", nn::LayerNorm(nn::LayerNormOptions({size})));
    std::shared_ptr<nn::Module> attn = register_module("attn", std::make_shared<nn::Module>()),
                                mlp = register_module("mlp", std::make_shared<nn::Module>());
    std::shared_ptr<Matrix> c_attn =
                                attn->register_module("c_attn", std::make_shared<Matrix>(size, 3 * size)),
                            c_proj = attn->register_module("c_proj", std::make_shared<Matrix>(size, size)),
                            c_fc = mlp->register_module("c_fc", std::make_shared<Matrix>(size, 4 * size)),
                            out = mlp->register_module("c_proj", std::make_shared<Matrix>(4 * size, size));
    Tensor keys, values;  // [heads, time, size / heads]
  };
  nn::Embedding wte = register_module("wte", nn::Embedding(50257, size)),
                wpe = register_module("wpe", nn::Embedding(1024, size));
  nn::ModuleList h = register_module("h", nn::ModuleList());
  nn::LayerNorm ln_f = register_module("ln_f", nn::LayerNorm(nn::LayerNormOptions({size})));
  Gpt2Impl() {
    for (int i = 0; i < blocks; ++i) h->push_back(std::make_shared<Block>());
  }
  /// ids [time] after `past` others -> scores [time, tokens]; the first call keeps its keys and values.
  Tensor forward(const Tensor& ids, std::int64_t past) {
    const std::int64_t n = ids.size(0);
    Tensor x = wte(ids) + wpe->weight.narrow(0, past, n);
    for (const auto& module : *h) {
      auto& b = *module->as<Block>();
      const auto parts = b.c_attn->forward(b.ln_1(x)).split(size, 1);
      const auto heads_of = [&](const Tensor& t) { return t.view({n, heads, size / heads}).transpose(0, 1); };
      const Tensor q = heads_of(parts[0]);
      Tensor k = heads_of(parts[1]), v = heads_of(parts[2]), a;
      if (past == 0) {
        b.keys = k.contiguous(), b.values = v.contiguous();
        const Tensor hidden = torch::full({n, n}, -INFINITY).triu(1);
        a = torch::matmul(torch::softmax(torch::matmul(q, k.transpose(1, 2)) * 0.125 + hidden, -1), v);
      } else {
        k = torch::cat({b.keys, k}, 1), v = torch::cat({b.values, v}, 1);
        a = torch::matmul(torch::softmax(torch::matmul(q, k.transpose(1, 2)) * 0.125, -1), v);
      }
      x = x + b.c_proj->forward(a.transpose(0, 1).reshape({n, size}));
      x = x + b.out->forward(torch::gelu(b.c_fc->forward(b.ln_2(x)), "tanh"));
    }
    return torch::matmul(ln_f(x), wte->weight.t());
  }
};
Workload gpt2_token() {
  auto m = std::make_shared<Gpt2Impl>();
  peer::start(*m);
  {
    const c10::InferenceMode guard;
    m->forward(tensor(bench::integers(151, 63, 50257), {63}), 0);
  }
  return inference([m, x = tensor(bench::integers(150, 1, 50257), {1})] { return m->forward(x, 63); });
}

struct AutoencoderImpl : nn::Module {
  struct Part : nn::Module {
    std::shared_ptr<nn::Module> layers = register_module("layers", std::make_shared<nn::Module>());
    nn::Linear a, b;
    Part(std::int64_t in, std::int64_t out)
        : a(layers->register_module("0", nn::Linear(in, 400))),
          b(layers->register_module("1", nn::Linear(400, out))) {}
    Tensor forward(const Tensor& x) { return b(relu_of(a(x))); }
  };
  std::shared_ptr<Part> encoder = register_module("encoder", std::make_shared<Part>(784, 40)),
                        decoder = register_module("decoder", std::make_shared<Part>(20, 784));
};
Workload vae_train() {
  return training(
      std::make_shared<AutoencoderImpl>(),
      [x = tensor(bench::uniform(160, 128 * 784, 0, 1), {128, 784}),
       noise = values(161, {128, 20})](AutoencoderImpl& m) {
        const Tensor h = m.encoder->forward(x), mean = h.narrow(1, 0, 20), log_variance = h.narrow(1, 20, 20);
        const Tensor z = mean + torch::exp(log_variance * 0.5) * noise;
        const Tensor divergence = (mean * mean + torch::exp(log_variance) - log_variance - 1).sum() * 0.5;
        const Tensor rebuilt =
            torch::binary_cross_entropy_with_logits(m.decoder->forward(z), x, {}, {}, torch::Reduction::Sum);
        return (rebuilt + divergence) / 128;
      },
      adam(1e-3));
}

}  // namespace

void peer::add_sequences(std::vector<bench::Entry>& all) {
  all.push_back({"s2s_train", s2s_train});
  all.push_back({"s2s_infer", s2s_infer});
  all.push_back({"lstm_train", [] { return recurrent<nn::LSTMImpl, nn::LSTMOptions>(2); }});
  all.push_back({"lstm_packed", lstm_packed});
  all.push_back({"lstm_step_1", lstm_step});
  all.push_back({"gru_train", [] { return recurrent<nn::GRUImpl, nn::GRUOptions>(1); }});
  all.push_back({"lm_train", lm_train});
  all.push_back({"morse_train", morse_train});
  all.push_back({"transformer_train", transformer_train});
  all.push_back({"transformer_infer", transformer_infer});
  all.push_back({"attention_2048", attention_2048});
  all.push_back({"sentence_infer", sentence_infer});
  all.push_back({"gpt2_token", gpt2_token});
  all.push_back({"vae_train", vae_train});
  all.push_back({"mac_train", mac_train});
}
