// Recurrent networks and attention, this library's side. Batches come first, [batch, time, features].
#include "knet/models/morse.hpp"
#include "ours.hpp"

namespace {

using namespace knet;
using bench::Workload;
using ours::digest;
using ours::tensor;

std::size_t count(const Shape& s) { return static_cast<std::size_t>(s.numel()); }
Tensor values(std::uint32_t seed, const Shape& s) { return tensor(bench::uniform(seed, count(s), -1, 1), s); }
Tensor tokens(std::uint32_t seed, const Shape& s, std::size_t below) {
  return tensor(bench::integers(seed, count(s), below), s);
}

// A step of training with the loss that `loss(model)` gives.
template <class M, class Loss>
Workload training(M model, Loss loss, std::optional<Rule> rule, int check_steps = 3) {
  struct State {
    M model;
    Loss loss;
    ours::Start start;
    std::optional<Optimizer> optimizer;
    double value = 0;
  };
  auto s = std::make_shared<State>(State{std::move(model), std::move(loss), {}, {}});
  Workload w;
  w.reset = [s, rule] {
    s->start(s->model);
    if (rule) s->optimizer.emplace(s->model, *rule);
  };
  w.step = [s] {
    const Tape tape = diff([&] { return s->loss(s->model); });
    if (s->optimizer) s->optimizer->step(tape);
    s->value = tape.item();
  };
  // Without a rule the gradients are what is computed: their size is checked.
  w.check = [s] {
    if (s->optimizer) return s->value;
    const Tape tape = diff([&] { return s->loss(s->model); });
    double sum = tape.item();
    for (const Param& p : params(s->model)) sum += std::sqrt(knet::sum(square(tape.grad(p))).item());
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
  w.step = [f, y] { *y = f(); };
  w.check = [y] { return digest(*y); };
  w.check_steps = 1;
  return w;
}

// Sorting: reads 15 digits, writes them in order; the decoder sees the answer so far.
struct Sorter {
  LSTM encoder{.input = 11, .hidden = 128, .embed = 9}, decoder{.input = 11, .hidden = 128, .embed = 9};
  Multiply output{.input = 128, .output = 11};
  Tensor operator()(const Tensor& x, const Tensor& before) const {
    return output(decoder(before, {.hidden = encoder(x).hidden}).y);
  }
};
Workload s2s_train() {
  return training(
      Sorter{},
      [x = tokens(80, {64, 15}, 11), b = tokens(81, {64, 16}, 11),
       y = tokens(82, {64, 16}, 11)](const Sorter& m) { return nll(m(x, b), y); },
      Adam{.lr = 1e-3});
}
Workload s2s_infer() {
  Sorter m;
  ours::Start()(m);
  return inference([m, x = tokens(80, {64, 15}, 11), b = tokens(81, {64, 16}, 11)] { return m(x, b); });
}

template <class L>
Workload recurrent(int layers) {
  return training(
      L{.input = 256, .hidden = 256, .layers = layers},
      [x = values(90, {32, 64, 256}), c = values(91, {32, 64, 256})](const L& m) { return sum(m(x).y * c); },
      {}, 1);
}
Workload lstm_packed() {
  std::vector<Tensor> xs;
  for (std::int64_t i = 0; i < 32; ++i)
    xs.push_back(values(100 + static_cast<std::uint32_t>(i), {64 - 2 * (i / 2) * 15 / 8, 256}));
  const PackedSequence packed = pack_sequence(xs);
  const Tensor c = values(91, {packed.data.size(0), 256});
  return training(
      LSTM{.input = 256, .hidden = 256, .layers = 2},
      [packed, c](const LSTM& m) { return sum(m(packed).y * c); }, {}, 1);
}
Workload lstm_step() {
  LSTM m{.input = 256, .hidden = 256, .layers = 2};
  ours::Start()(m);
  return inference([m, x = values(90, {1, 1, 256}), h = values(92, {2, 1, 256}),
                    c = values(93, {2, 1, 256})] { return m(x, {.hidden = h, .memory = c}).y; });
}

Workload lstm_step_compiled() {
  LSTM m{.input = 256, .hidden = 256, .layers = 2};
  ours::Start()(m);
  const Tensor x = values(90, {1, 1, 256}), h = values(92, {2, 1, 256}), c = values(93, {2, 1, 256});
  const auto step = [&](const Tensor& in, const Tensor& hidden, const Tensor& memory) {
    return m(in, {.hidden = hidden, .memory = memory});
  };
  return inference([=, plan = compile(step, x, h, c)] { return plan(x, h, c); });
}

struct LanguageModel {
  LSTM lstm{.input = 5000, .hidden = 256, .embed = 256};
  Linear output{.input = 256, .output = 5000};
  Tensor operator()(const Tensor& ids) const { return output(lstm(ids).y); }
};
Workload lm_train() {
  return training(
      LanguageModel{},
      [x = tokens(110, {32, 64}, 5000), y = tokens(111, {32, 64}, 5000)](const LanguageModel& m) {
        return nll(m(x), y);
      },
      SGD{.lr = 0.1});
}

// A sentence of 12 words; making its batch is part of the step.
Workload morse_train() {
  const bench::MorseWords words;
  std::vector<models::MorseItem> sentence;
  for (std::size_t i = 0; i < words.characters.size(); ++i) {
    std::vector<std::int64_t> symbols = words.letters[i];
    symbols.insert(symbols.end(), words.tags[i].begin(), words.tags[i].end());
    sentence.push_back(
        {.characters = words.characters[i], .candidates = {{.symbols = symbols}}, .known = true});
  }
  return training(
      models::Morse{.config = {.hidden = {128, 128, 128, 128}, .dropout = 0},
                    .sizes = {.characters = 46, .letters = 45, .tags = 64}},
      [sentence](const models::Morse& m) { return m.loss(models::morse_batch({sentence})); }, SGD{.lr = 0.1});
}

Transformer encoder_layer() { return {.size = 256, .heads = 8, .hidden = 1024, .dropout = 0}; }
Workload transformer_train() {
  return training(
      encoder_layer(),
      [x = values(120, {16, 64, 256}), c = values(121, {16, 64, 256})](const Transformer& m) {
        return mean(m(x) * c);
      },
      Adam{.lr = 1e-4});
}
Workload transformer_infer() {
  Transformer m = encoder_layer();
  ours::Start()(m);
  return inference([m, x = values(120, {16, 64, 256})] { return m(x); });
}
Workload transformer_infer_compiled() {
  Transformer m = encoder_layer();
  ours::Start()(m);
  const Tensor x = values(120, {16, 64, 256});
  return inference([x, plan = compile(m, x)] { return plan(x); });
}

// A step of examples/mac_sort_of_clevr: eight pictures, twenty questions of three words about each.
Workload mac_train() {
  models::MACConfig c = models::mac_config(2);
  c.words = 11, c.answers = 10, c.channels = 3, c.size = 64, c.steps = 4, c.embedding = 32;
  c.dropout = {0, 0, 0, 0, 0, 0};
  const std::vector<std::int64_t> ids = bench::integers(140, 160 * 3, 11);
  std::vector<std::vector<std::int64_t>> questions;
  for (auto at = ids.begin(); at != ids.end(); at += 3) questions.emplace_back(at, at + 3);
  const Tensor image_of = arange(8).reshape({8, 1}).expand({8, 20}).reshape({160});
  return training(
      models::MAC{.config = c, .stem = models::mac_pixel_stem(c)},
      [x = values(141, {8, 3, 75, 75}), q = Sequences(questions), image_of,
       y = tokens(142, {160}, 10)](const models::MAC& m) { return nll(m(x, q, image_of), y); },
      Adam{.lr = 1e-3});
}

Workload attention_2048() {
  struct Inputs {
    Param q = values(130, {1, 8, 2048, 64}), k = values(131, {1, 8, 2048, 64}),
          v = values(132, {1, 8, 2048, 64});
  };
  struct State {
    Inputs in;
    Tensor c = values(133, {1, 8, 2048, 64}), dq, dk, dv;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const Tape tape = diff([&] { return sum(attention(s->in.q, s->in.k, s->in.v) * s->c); });
    s->dq = tape.grad(s->in.q), s->dk = tape.grad(s->in.k), s->dv = tape.grad(s->in.v);
  };
  w.check = [s] { return digest(s->dq) + digest(s->dk) + digest(s->dv); };
  w.check_steps = 1;
  return w;
}

// As all-MiniLM-L6-v2: a sentence of 32 tokens to the mean of its states.
struct SentenceModel {
  Embed words{.input = 5000, .output = 384};
  PositionEmbedding places{.size = 384, .max_length = 512};
  LayerNorm norm{.size = 384};
  std::vector<Transformer> layers = std::vector<Transformer>(
      6, Transformer{.size = 384, .heads = 12, .hidden = 1536, .activation = gelu_exact, .dropout = 0});
  Tensor operator()(const Tensor& ids) const {
    Tensor h = norm(places(words(ids)));
    for (const Transformer& l : layers) h = l(h);
    return mean(h, 1);
  }
};
Workload sentence_infer() {
  SentenceModel m;
  ours::Start()(m);
  return inference([m, x = tokens(140, {1, 32}, 5000)] { return m(x); });
}

// The scores after one more token, 63 being in the cache.
Workload gpt2_token() {
  struct State {
    models::GPT2 m{.config = {.init = 0}};
    models::GPT2Cache cache;
    Tensor x = tokens(150, {1, 1}, 50257);
  };
  auto s = std::make_shared<State>();
  ours::Start()(s->m);
  s->m(tokens(151, {1, 63}, 50257), &s->cache);
  return inference([s] {
    for (KeyValueCache& c : s->cache.blocks) c.length = 63;
    return s->m(s->x, &s->cache);
  });
}

// A variational autoencoder of 128 images; the noise is given.
struct Autoencoder {
  MLP encoder{{784, 400, 40}}, decoder{{20, 400, 784}};
};
Workload vae_train() {
  return training(
      Autoencoder{},
      [x = tensor(bench::uniform(160, 128 * 784, 0, 1), {128, 784}),
       noise = values(161, {128, 20})](const Autoencoder& m) {
        const Tensor h = m.encoder(x), mean = h.narrow(1, 0, 20), log_variance = h.narrow(1, 20, 20);
        const Tensor z = mean + exp(log_variance * 0.5) * noise;
        const Tensor divergence = sum(mean * mean + exp(log_variance) - log_variance - 1.0) * 0.5;
        return (binary_cross_entropy(m.decoder(z), x, false) + divergence) / 128.0;
      },
      Adam{.lr = 1e-3});
}

}  // namespace

void ours::add_sequences(std::vector<bench::Entry>& all) {
  all.push_back({"s2s_train", s2s_train});
  all.push_back({"s2s_infer", s2s_infer});
  all.push_back({"lstm_train", [] { return recurrent<LSTM>(2); }});
  all.push_back({"lstm_packed", lstm_packed});
  all.push_back({"lstm_step_1", lstm_step});
  all.push_back({"lstm_step_1_compiled", lstm_step_compiled});
  all.push_back({"gru_train", [] { return recurrent<GRU>(1); }});
  all.push_back({"lm_train", lm_train});
  all.push_back({"morse_train", morse_train});
  all.push_back({"transformer_train", transformer_train});
  all.push_back({"transformer_infer", transformer_infer});
  all.push_back({"transformer_infer_compiled", transformer_infer_compiled});
  all.push_back({"attention_2048", attention_2048});
  all.push_back({"sentence_infer", sentence_infer});
  all.push_back({"gpt2_token", gpt2_token});
  all.push_back({"vae_train", vae_train});
  all.push_back({"mac_train", mac_train});
}
