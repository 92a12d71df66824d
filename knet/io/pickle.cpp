#include "knet/io/pickle.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

#include "knet/base/text.hpp"

namespace knet::io {
namespace {

constexpr int max_depth = 64;

using Ref = std::uint32_t;
constexpr Ref no_ref = ~Ref{0};

// 16 bytes a value: a byte of a pickle makes one at most.
struct Value {
  enum Kind : std::uint8_t {
    none,
    truth,
    integer,
    real,
    string,
    sequence,
    dict,
    global,
    storage,
    tensor,
    opaque
  };
  Kind kind = none;
  std::uint32_t length = 0;  // of a string
  std::int64_t i = 0;        // the number, a double's bits, a string's start, or an index
};

// What a name means; everything else is opaque.
enum class Global : std::uint8_t {
  ordered_dict,
  rebuild_tensor,     // (storage, offset, size, stride, ...)
  rebuild_tensor_v3,  // (storage, offset, size, stride, requires_grad, hooks, dtype, ...)
  first_argument,     // a parameter of a tensor, torch.Size of a tuple
  rebuild_from_type,  // (function, type, arguments, state)
  storage_type,
  dtype,
  other
};
struct GlobalName {
  std::string_view module, name;
  Global meaning;
  Stored stored = Stored::unknown;
};
constexpr GlobalName globals[] = {
    {"collections", "OrderedDict", Global::ordered_dict},
    {"torch._utils", "_rebuild_tensor", Global::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", Global::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v3", Global::rebuild_tensor_v3},
    {"torch._utils", "_rebuild_parameter", Global::first_argument},
    {"torch._utils", "_rebuild_parameter_with_state", Global::first_argument},
    {"torch._tensor", "_rebuild_from_type_v2", Global::rebuild_from_type},
    {"torch", "Size", Global::first_argument},
    {"torch", "FloatStorage", Global::storage_type, Stored::f32},
    {"torch", "DoubleStorage", Global::storage_type, Stored::f64},
    {"torch", "HalfStorage", Global::storage_type, Stored::f16},
    {"torch", "BFloat16Storage", Global::storage_type, Stored::bf16},
    {"torch", "LongStorage", Global::storage_type, Stored::i64},
    {"torch", "IntStorage", Global::storage_type, Stored::i32},
    {"torch", "ShortStorage", Global::storage_type, Stored::i16},
    {"torch", "CharStorage", Global::storage_type, Stored::i8},
    {"torch", "ByteStorage", Global::storage_type, Stored::u8},
    {"torch", "BoolStorage", Global::storage_type, Stored::boolean},
    {"torch", "ComplexFloatStorage", Global::storage_type},
    {"torch", "ComplexDoubleStorage", Global::storage_type},
    {"torch", "QInt8Storage", Global::storage_type},
    {"torch", "QUInt8Storage", Global::storage_type},
    {"torch", "QInt32Storage", Global::storage_type},
    {"torch.storage", "UntypedStorage", Global::storage_type},
    {"torch.storage", "_UntypedStorage", Global::storage_type},
    {"torch", "float32", Global::dtype, Stored::f32},
    {"torch", "float64", Global::dtype, Stored::f64},
    {"torch", "float16", Global::dtype, Stored::f16},
    {"torch", "bfloat16", Global::dtype, Stored::bf16},
    {"torch", "int64", Global::dtype, Stored::i64},
    {"torch", "int32", Global::dtype, Stored::i32},
    {"torch", "int16", Global::dtype, Stored::i16},
    {"torch", "int8", Global::dtype, Stored::i8},
    {"torch", "uint8", Global::dtype, Stored::u8},
    {"torch", "uint16", Global::dtype, Stored::u16},
    {"torch", "uint32", Global::dtype, Stored::u32},
    {"torch", "uint64", Global::dtype, Stored::u64},
    {"torch", "bool", Global::dtype, Stored::boolean},
    {"torch", "float8_e4m3fn", Global::dtype, Stored::f8_e4m3},
    {"torch", "float8_e5m2", Global::dtype, Stored::f8_e5m2},
    {"torch", "float8_e8m0fnu", Global::dtype, Stored::f8_e8m0},
};

struct Machine {
  Machine(const ByteSource& source, std::string_view t) : s(source), text(t) {}

  const ByteSource& s;
  std::string_view text;
  std::size_t at = 0;
  Pickle out;
  std::vector<Value> values;
  std::vector<std::vector<Ref>> lists;  // elements; of a dict keys and values in turn
  std::vector<GlobalName> names;
  std::vector<Ref> stack, memo;
  std::vector<std::size_t> marks;
  // Of visits, copies and bytes of names: the same list can be named many times over.
  std::uint64_t budget = 64 * std::uint64_t{text.size()} + 4096;

  template <class... A>
  [[noreturn]] void bad(const A&... why) const {
    s.bad("its pickle, at byte ", at, ": ", why...);
  }

  void spend(std::uint64_t n) {
    if (n > budget) bad("repeats the same values too often");
    budget -= n;
  }

  // ---- the program ----
  std::string_view take(std::uint64_t n) {
    if (n > text.size() - at) bad("truncated: ", n, " more bytes are needed");
    const auto r = text.substr(at, static_cast<std::size_t>(n));
    at += static_cast<std::size_t>(n);
    return r;
  }
  std::uint64_t number(int bytes) {
    const auto b = take(static_cast<std::uint64_t>(bytes));
    std::uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; --i)
      v = v << 8 | static_cast<unsigned char>(b[static_cast<std::size_t>(i)]);
    return v;
  }
  std::string_view line() {
    const auto n = text.find('\n', at);
    if (n == std::string_view::npos) bad("truncated in a name");
    const auto r = text.substr(at, n - at);
    at = n + 1;
    return r;
  }

  // ---- values ----
  Ref make(Value v) {
    values.push_back(v);
    return static_cast<Ref>(values.size() - 1);
  }
  void push(Value v) { stack.push_back(make(v)); }
  void push_int(std::int64_t v) { push({Value::integer, 0, v}); }
  void push_string(std::uint64_t n) {
    const auto t = take(n);
    push({Value::string, static_cast<std::uint32_t>(t.size()), t.data() - text.data()});
  }
  std::string_view string(Ref r) const {
    return text.substr(static_cast<std::size_t>(values[r].i), values[r].length);
  }
  // Empty ones share the list 0, which stays empty.
  void push_list(Value::Kind kind) { push({kind, 0, 0}); }
  std::vector<Ref>& elements(Ref r) {
    Value& v = values[r];
    if (v.i == 0) {
      lists.emplace_back();
      v.i = static_cast<std::int64_t>(lists.size() - 1);
    }
    return lists[static_cast<std::size_t>(v.i)];
  }
  const std::vector<Ref>& items(Ref r) const { return lists[static_cast<std::size_t>(values[r].i)]; }
  Ref pop() {
    if (stack.size() <= (marks.empty() ? 0 : marks.back())) bad("takes a value from an empty stack");
    const Ref r = stack.back();
    stack.pop_back();
    return r;
  }
  Ref top() {
    const Ref r = pop();
    stack.push_back(r);
    return r;
  }
  std::vector<Ref> pop_mark() {
    if (marks.empty()) bad("takes values up to a mark, and there is none");
    const auto begin = stack.begin() + static_cast<std::ptrdiff_t>(marks.back());
    std::vector<Ref> r(begin, stack.end());
    stack.erase(begin, stack.end());
    marks.pop_back();
    return r;
  }
  void push_tuple(std::vector<Ref> elements) {
    lists.push_back(std::move(elements));
    push({Value::sequence, 0, static_cast<std::int64_t>(lists.size() - 1)});
  }
  void push_tuple_of(int n) {
    std::vector<Ref> e(static_cast<std::size_t>(n));
    for (std::size_t i = e.size(); i-- > 0;) e[i] = pop();
    push_tuple(std::move(e));
  }
  void put(std::uint64_t i) {
    // Python counts up; a hole is fine, an index beyond the text's length is not.
    if (i >= text.size()) bad("remembers a value as number ", i);
    if (i >= memo.size()) memo.resize(static_cast<std::size_t>(i) + 1, no_ref);
    memo[static_cast<std::size_t>(i)] = top();
  }
  void get(std::uint64_t i) {
    if (i >= memo.size() || memo[static_cast<std::size_t>(i)] == no_ref)
      bad("recalls value ", i, ", which was not remembered");
    stack.push_back(memo[static_cast<std::size_t>(i)]);
  }
  void append(Ref list, const std::vector<Ref>& more) {
    if (values[list].kind == Value::opaque) return;
    if (values[list].kind != Value::sequence) bad("appends to something that is not a list");
    if (more.empty()) return;
    auto& e = elements(list);
    e.insert(e.end(), more.begin(), more.end());
  }
  void set_items(Ref dict, const std::vector<Ref>& more) {
    if (values[dict].kind == Value::opaque) return;
    if (values[dict].kind != Value::dict || more.size() % 2 != 0)
      bad("sets entries of something that is not a dictionary");
    if (more.empty()) return;
    auto& e = elements(dict);
    e.insert(e.end(), more.begin(), more.end());
  }

  // ---- names and calls ----
  void push_global(std::string_view module, std::string_view what) {
    GlobalName g{module, what, Global::other};
    for (const auto& known : globals) {
      if (known.module == module && known.name == what) g = known;
    }
    names.push_back(g);
    push({Value::global, 0, static_cast<std::int64_t>(names.size() - 1)});
  }
  const GlobalName* global(Ref r) const {
    return values[r].kind == Value::global ? &names[static_cast<std::size_t>(values[r].i)] : nullptr;
  }
  Ref opaque(const GlobalName* g) {
    if (g && g->meaning == Global::other && out.opaque.empty())
      out.opaque = std::string(g->module.substr(0, 60)) + "." + std::string(g->name.substr(0, 60));
    return make({Value::opaque});
  }
  std::int64_t count(Ref r, const char* what) const {
    if (values[r].kind != Value::integer || values[r].i < 0) bad(what, " is not a number from 0 up");
    return values[r].i;
  }
  Ref rebuild_tensor(const std::vector<Ref>& a, bool v3) {
    if (a.size() < (v3 ? 7u : 4u)) bad("a tensor of ", a.size(), " arguments");
    if (values[a[0]].kind != Value::storage) bad("a tensor without a storage");
    PickleTensor t;
    t.storage = static_cast<std::uint32_t>(values[a[0]].i);
    const PickleStorage& storage = out.storages[t.storage];
    t.stored = storage.stored, t.type = storage.type;
    t.offset = count(a[1], "a tensor's offset");
    if (values[a[2]].kind != Value::sequence || values[a[3]].kind != Value::sequence)
      bad("a tensor's size or stride is not a tuple");
    const auto &size = items(a[2]), &stride = items(a[3]);
    if (size.size() != stride.size())
      bad("a tensor of ", size.size(), " sizes and ", stride.size(), " strides");
    if (size.size() > max_dims) bad("a tensor of more than ", max_dims, " dimensions");
    for (std::size_t i = 0; i < size.size(); ++i) {
      t.shape.push(count(size[i], "a tensor's size"));
      t.strides[static_cast<int>(i)] = count(stride[i], "a tensor's stride");
    }
    if (v3) {
      const GlobalName* g = global(a[6]);
      t.stored = g && g->meaning == Global::dtype ? g->stored : Stored::unknown;
      t.type = g ? std::string(g->name.substr(0, 60)) : "unknown";
    } else if (storage.untyped) {
      bad("a tensor over an untyped storage says no type");
    }
    out.tensors.push_back(std::move(t));
    return make({Value::tensor, 0, static_cast<std::int64_t>(out.tensors.size() - 1)});
  }
  Ref call(Ref function, Ref arguments, int depth = 0) {
    const GlobalName* g = global(function);
    if (!g) return opaque(nullptr);
    if (values[arguments].kind != Value::sequence) bad("a call without a tuple of arguments");
    const auto& a = items(arguments);
    switch (g->meaning) {
      case Global::ordered_dict: {
        const Ref d = make({Value::dict, 0, 0});
        if (!a.empty() && values[a[0]].kind == Value::sequence) {
          const auto pairs = items(a[0]);
          spend(pairs.size());
          for (const Ref pair : pairs) {
            if (values[pair].kind != Value::sequence || items(pair).size() != 2)
              bad("an OrderedDict of something that is not pairs");
            const auto kv = items(pair);
            set_items(d, kv);
          }
        }
        return d;
      }
      case Global::rebuild_tensor: return rebuild_tensor(a, false);
      case Global::rebuild_tensor_v3: return rebuild_tensor(a, true);
      case Global::first_argument:
        if (a.empty()) bad("a call of ", shown(g->name), " without arguments");
        return a[0];
      case Global::rebuild_from_type:
        if (a.size() < 3 || depth > 3) bad("a call of ", shown(g->name), " with wrong arguments");
        return call(a[0], a[2], depth + 1);
      default: return opaque(g);
    }
  }
  // ('storage', type, key, location, elements)
  Ref persistent_id(Ref id) {
    if (values[id].kind != Value::sequence) bad("a persistent id that is not a tuple");
    const auto& e = items(id);
    if (e.size() < 5 || values[e[0]].kind != Value::string || string(e[0]) != "storage" ||
        values[e[2]].kind != Value::string)
      bad("a persistent id that is not a storage's");
    const GlobalName* g = global(e[1]);
    if (!g || g->meaning != Global::storage_type) bad("a storage of an unknown type");
    PickleStorage p;
    p.key = string(e[2]), p.type = g->name, p.stored = g->stored;
    p.numel = static_cast<std::uint64_t>(count(e[4], "a storage's size"));
    p.untyped = g->name.ends_with("UntypedStorage");
    out.storages.push_back(std::move(p));
    return make({Value::storage, 0, static_cast<std::int64_t>(out.storages.size() - 1)});
  }

  void long_integer(std::uint64_t bytes) {
    const auto b = take(bytes);
    if (b.size() > 8) return push({Value::opaque});
    std::uint64_t v = !b.empty() && (b.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = b.size(); i-- > 0;) v = v << 8 | static_cast<unsigned char>(b[i]);
    push_int(static_cast<std::int64_t>(v));
  }

  // Runs up to STOP; the result. Opcodes as Python's pickletools documents them.
  Ref run() {
    lists.emplace_back();
    for (;;) {
      const auto op = static_cast<unsigned char>(take(1)[0]);
      switch (op) {
        case 0x80:  // PROTO
          if (const auto v = number(1); v < 2 || v > 5) bad("protocol ", v, " (expected 2 to 5)");
          break;
        case 0x95: number(8); break;  // FRAME
        case '.': return pop();
        case '(': marks.push_back(stack.size()); break;
        case '0':  // POP, also of a mark
          if (!marks.empty() && marks.back() == stack.size())
            marks.pop_back();
          else
            pop();
          break;
        case '1': pop_mark(); break;
        case '2': stack.push_back(top()); break;
        case 'N': push({Value::none}); break;
        case 0x88: push({Value::truth, 0, 1}); break;
        case 0x89: push({Value::truth, 0, 0}); break;
        case 'J': push_int(static_cast<std::int32_t>(number(4))); break;
        case 'K': push_int(static_cast<std::int64_t>(number(1))); break;
        case 'M': push_int(static_cast<std::int64_t>(number(2))); break;
        case 0x8a: long_integer(number(1)); break;
        case 0x8b: long_integer(number(4)); break;
        case 'G': {  // big-endian
          std::uint64_t bits = 0;
          for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
          push({Value::real, 0, static_cast<std::int64_t>(bits)});
          break;
        }
        case 'X': push_string(number(4)); break;
        case 0x8c: push_string(number(1)); break;
        case 0x8d: push_string(number(8)); break;
        case 'T':
        case 'B': take(number(4)), push({Value::opaque}); break;
        case 'U':
        case 'C': take(number(1)), push({Value::opaque}); break;
        case 0x8e:
        case 0x96: take(number(8)), push({Value::opaque}); break;
        case ']':
        case ')': push_list(Value::sequence); break;
        case '}': push_list(Value::dict); break;
        case 0x8f: push({Value::opaque}); break;  // EMPTY_SET
        case 0x90: pop_mark(), top(); break;      // ADDITEMS
        case 0x91: pop_mark(), push({Value::opaque}); break;
        case 't': push_tuple(pop_mark()); break;
        case 'l': push_tuple(pop_mark()); break;
        case 0x85: push_tuple_of(1); break;
        case 0x86: push_tuple_of(2); break;
        case 0x87: push_tuple_of(3); break;
        case 'd': {
          const auto e = pop_mark();
          push_list(Value::dict);
          set_items(stack.back(), e);
          break;
        }
        case 'a': {
          const Ref v = pop();
          append(top(), {v});
          break;
        }
        case 'e': {
          const auto e = pop_mark();
          append(top(), e);
          break;
        }
        case 's': {
          const Ref v = pop(), k = pop();
          set_items(top(), {k, v});
          break;
        }
        case 'u': {
          const auto e = pop_mark();
          set_items(top(), e);
          break;
        }
        case 'q': put(number(1)); break;
        case 'r': put(number(4)); break;
        case 0x94: put(memo.size()); break;
        case 'h': get(number(1)); break;
        case 'j': get(number(4)); break;
        case 'c': {
          const auto module = line();
          push_global(module, line());
          break;
        }
        case 0x93: {
          const Ref what = pop(), module = pop();
          if (values[what].kind != Value::string || values[module].kind != Value::string)
            bad("a global whose name is not a text");
          push_global(string(module), string(what));
          break;
        }
        case 0x81:  // NEWOBJ
        case 'R': {
          const Ref arguments = pop(), function = pop();
          stack.push_back(call(function, arguments));
          break;
        }
        case 0x92: {  // NEWOBJ_EX
          pop(), pop(), pop();
          push({Value::opaque});
          break;
        }
        case 'b': pop(), top(); break;  // BUILD: attributes, such as a state dict's _metadata
        case 'Q': stack.push_back(persistent_id(pop())); break;
        default: bad("opcode ", int{op}, ", which torch.save does not write");
      }
    }
  }

  // ---- flattening ----
  struct Level {
    Ref ref;
    std::size_t next, name_length;
  };
  std::string name;
  void leaf(Ref r) {
    const Value& v = values[r];
    if (v.kind == Value::tensor) {
      spend(name.size());
      out.leaves.push_back({name, static_cast<std::uint32_t>(v.i)});
      return;
    }
    std::string t;
    if (v.kind == Value::truth) t = v.i ? "true" : "false";
    if (v.kind == Value::integer) t = std::to_string(v.i);
    if (v.kind == Value::real) {
      char b[32];
      t.assign(b, std::to_chars(b, b + sizeof b, std::bit_cast<double>(v.i)).ptr);
    }
    if (v.kind == Value::string) t = string(r);
    if (t.empty()) return;
    spend(name.size() + t.size());
    out.remarks.emplace_back(name, std::move(t));
  }
  void flatten(Ref root) {
    std::vector<Level> path;
    const auto enter = [&](Ref r) {
      spend(1);
      if (values[r].kind != Value::dict && values[r].kind != Value::sequence) return leaf(r);
      if (path.size() == max_depth)
        bad("lists or dictionaries inside each other more than ", max_depth, " deep");
      for (const Level& l : path) {
        if (l.ref == r) bad("a list or dictionary that contains itself");
      }
      path.push_back({r, 0, name.size()});
    };
    enter(root);
    while (!path.empty()) {
      Level& l = path.back();
      const auto& e = items(l.ref);
      const bool dict = values[l.ref].kind == Value::dict;
      name.resize(l.name_length);
      if (l.next >= e.size()) {
        path.pop_back();
        continue;
      }
      if (!name.empty()) name += '.';
      if (dict) {
        const Value& key = values[e[l.next]];
        if (key.kind == Value::string) {
          spend(key.length);
          name += string(e[l.next]);
        } else if (key.kind == Value::integer) {
          name += std::to_string(key.i);
        } else {
          l.next += 2;
          continue;
        }
      } else {
        name += std::to_string(l.next);
      }
      const Ref child = e[l.next + (dict ? 1 : 0)];
      l.next += dict ? 2 : 1;
      enter(child);
    }
  }
};

}  // namespace

Pickle read_pickle(const ByteSource& s, std::string_view text) {
  if (text.size() > (1u << 28))
    s.bad("its pickle has ", text.size(), " bytes (expected at most ", 1u << 28, ")");
  Machine m(s, text);
  const Ref root = m.run();
  m.flatten(root);
  return std::move(m.out);
}

}  // namespace knet::io
