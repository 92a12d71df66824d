#include "knet/layers/plan_program.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "knet/tensor/access.hpp"

namespace knet::plan {
namespace {

constexpr std::size_t alignment = 64;
std::size_t rounded(std::size_t n) { return (n + alignment - 1) / alignment * alignment; }

struct Reach {
  const std::byte *low, *high;
};
Reach reach(const Port& p) {
  const std::byte* b = TensorAccess::data(p.value);
  return {b, b + static_cast<std::size_t>(p.value.numel()) * size_of(p.dtype)};
}

/// Bytes that overlap belong to one buffer. Tensors never do, and a tensor of which parts are only ever used
/// apart becomes several buffers.
void find_buffers(Program& p) {
  std::vector<Reach> all;
  for (const Call& c : p.calls) {
    for (const Operand& o : c.operands) all.push_back({o.low, o.high});
  }
  for (const auto* ports : {&p.inputs, &p.outputs}) {
    for (const Port& port : *ports) all.push_back(reach(port));
  }
  std::ranges::sort(all, {}, &Reach::low);
  p.buffers.clear();
  for (const Reach& r : all) {
    if (!p.buffers.empty() && r.low < p.buffers.back().high)
      p.buffers.back().high = std::max(p.buffers.back().high, r.high);
    else
      p.buffers.push_back({.low = r.low, .high = r.high});
  }
  const auto find = [&](const std::byte* low) {
    const auto after = std::ranges::upper_bound(p.buffers, low, {}, &Buffer::low);
    return static_cast<int>(after - p.buffers.begin()) - 1;
  };
  for (auto* ports : {&p.inputs, &p.outputs}) {
    for (Port& port : *ports) port.buffer = find(reach(port).low);
  }
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    Call& c = p.calls[i];
    for (Operand& o : c.operands) {
      o.buffer = find(o.low);
      Buffer& b = p.buffers[static_cast<std::size_t>(o.buffer)];
      const void* pointer;
      std::memcpy(&pointer, c.bytes() + o.at, sizeof pointer);
      o.offset = static_cast<const std::byte*>(pointer) - b.low;
      if (b.users.empty() || b.users.back() != static_cast<int>(i)) b.users.push_back(static_cast<int>(i));
    }
  }
}

/// What an input reaches varies; so does everything that shares memory with it, and who writes there.
void find_kinds(Program& p) {
  using Kind = Buffer::Kind;
  const auto buffer = [&](int i) -> Buffer& { return p.buffers[static_cast<std::size_t>(i)]; };
  for (const Port& in : p.inputs) buffer(in.buffer).kind = Kind::input;
  for (const Port& out : p.outputs) {
    if (out.own) buffer(out.buffer).kind = Kind::output;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const Call& c : p.calls) {
      const bool varies =
          std::ranges::any_of(c.operands, [&](const Operand& o) { return buffer(o.buffer).varies(); });
      for (const Operand& o : c.operands) {
        if (!varies || !o.writes || buffer(o.buffer).varies()) continue;
        buffer(o.buffer).kind = Kind::scratch;
        changed = true;
      }
    }
  }
  for (const Port& out : p.outputs) {
    if (buffer(out.buffer).kind == Kind::scratch) buffer(out.buffer).kind = Kind::output;
  }
}

/// Calls whose results do not vary, or are not read.
bool drop_calls(Program& p) {
  std::vector<bool> needed(p.buffers.size(), false), keep(p.calls.size(), false);
  for (const Port& out : p.outputs) needed[static_cast<std::size_t>(out.buffer)] = true;
  for (std::size_t i = p.calls.size(); i-- > 0;) {
    for (const Operand& o : p.calls[i].operands) {
      const auto b = static_cast<std::size_t>(o.buffer);
      keep[i] = keep[i] || (o.writes && needed[b] && p.buffers[b].varies());
    }
    if (!keep[i]) continue;
    for (const Operand& o : p.calls[i].operands) {
      if (o.reads) needed[static_cast<std::size_t>(o.buffer)] = true;
    }
  }
  std::size_t n = 0;
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    if (keep[i] && n++ != i) p.calls[n - 1] = std::move(p.calls[i]);
  }
  const bool dropped = n != p.calls.size();
  p.calls.resize(n);
  return dropped;
}

void copy_output(Program& p, Port& out) {
  const Tensor from = out.value;
  out.value = Tensor::make(out.shape, out.dtype);
  p.calls.push_back(make_copy(array(from), array(out.value)));
  p.made.push_back(from);
}
/// Gives every output memory of its own, so that a caller's may take its place.
void separate_outputs(Program& p) {
  std::vector<int> taken;
  for (Port& out : p.outputs) {
    const Buffer& b = p.buffers[static_cast<std::size_t>(out.buffer)];
    const Reach r = reach(out);
    const bool own = b.kind == Buffer::Kind::output && b.low == r.low && b.high == r.high &&
                     std::ranges::find(taken, out.buffer) == taken.end();
    taken.push_back(out.buffer);
    if (!own) copy_output(p, out);
    out.own = true;
  }
}

// ---- memory ----

struct Block {
  std::size_t bytes;
  int first, last;
  std::size_t place = 0;
};

/// May the result of an elementwise call take the place of an operand? -1, or the operand's block.
int place_to_take(const Program& p, std::size_t i, const Operand& y, const std::vector<int>& block_of,
                  const std::vector<Block>& blocks) {
  const Call& c = p.calls[i];
  const auto whole = [&](const Operand& o) {
    const Buffer& b = p.buffers[static_cast<std::size_t>(o.buffer)];
    return b.kind == Buffer::Kind::scratch && o.low == b.low && o.high == b.high &&
           b.bytes() == static_cast<std::size_t>(o.form.numel()) * size_of(o.form.dtype);
  };
  for (const Operand& x : c.operands) {
    if (!x.reads || x.writes || !whole(x) || !whole(y) || !same_form(x.form, y.form)) continue;
    const int block = block_of[static_cast<std::size_t>(x.buffer)];
    const bool dies = blocks[static_cast<std::size_t>(block)].last == static_cast<int>(i);
    const bool alone = std::ranges::all_of(c.operands, [&](const Operand& o) {
      return block_of[static_cast<std::size_t>(o.buffer)] != block || same_form(o.form, x.form);
    });
    if (dies && alone) return block;
  }
  return -1;
}

/// Buffers that share a place in turn.
std::vector<Block> find_blocks(const Program& p, std::vector<int>& block_of) {
  std::vector<Block> blocks;
  block_of.assign(p.buffers.size(), -1);
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    for (const Operand& o : p.calls[i].operands) {
      const auto b = static_cast<std::size_t>(o.buffer);
      const Buffer& buffer = p.buffers[b];
      if (buffer.kind != Buffer::Kind::scratch || block_of[b] >= 0) continue;
      const int taken =
          elementwise(p.calls[i]) && o.writes && !o.reads ? place_to_take(p, i, o, block_of, blocks) : -1;
      if (taken >= 0) {
        block_of[b] = taken;
        blocks[static_cast<std::size_t>(taken)].last = buffer.users.back();
      } else {
        block_of[b] = static_cast<int>(blocks.size());
        blocks.push_back({rounded(buffer.bytes()), buffer.users.front(), buffer.users.back()});
      }
    }
  }
  return blocks;
}

/// The largest first, each at the lowest place that is free while it is needed. Returns the end.
std::size_t place_blocks(std::vector<Block>& blocks, std::size_t start) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::size_t i) { return blocks[i].bytes; });
  std::size_t end = start;
  std::vector<const Block*> placed;  // by place
  for (const std::size_t i : order) {
    Block& b = blocks[i];
    b.place = start;
    for (const Block* other : placed) {
      const bool together = other->first <= b.last && b.first <= other->last;
      if (!together) continue;
      if (b.place + b.bytes <= other->place) break;
      b.place = std::max(b.place, other->place + other->bytes);
    }
    placed.insert(std::ranges::upper_bound(placed, b.place, {}, [](const Block* o) { return o->place; }), &b);
    end = std::max(end, b.place + b.bytes);
  }
  return end;
}

}  // namespace

bool same_form(const Array& a, const Array& b) {
  bool same = a.ndim == b.ndim && size_of(a.dtype) == size_of(b.dtype);
  for (int i = 0; same && i < a.ndim; ++i)
    same = a.size[i] == b.size[i] && (a.stride[i] == b.stride[i] || a.size[i] == 1);
  return same;
}

void analyse(Program& p) {
  for (Port& out : p.outputs) {
    if (!out.value.is_contiguous()) copy_output(p, out);
  }
  do {
    find_buffers(p);
    find_kinds(p);
  } while (drop_calls(p));
}

void place(Program& p) {
  separate_outputs(p);
  analyse(p);
  std::size_t constants = 0;
  for (Buffer& b : p.buffers) {
    if (b.varies()) continue;
    b.place = constants;
    constants += rounded(b.bytes());
  }
  p.constants = Tensor::make({static_cast<std::int64_t>(constants)}, u8);
  std::byte* base = TensorAccess::data(p.constants);
  for (const auto* ports : {&p.inputs, &p.outputs}) {
    for (const Port& port : *ports) {
      Buffer& b = p.buffers[static_cast<std::size_t>(port.buffer)];
      b.place = p.memory;
      p.memory += rounded(b.bytes());
    }
  }
  std::vector<int> block_of;
  std::vector<Block> blocks = find_blocks(p, block_of);
  p.memory = place_blocks(blocks, p.memory);
  for (std::size_t i = 0; i < p.buffers.size(); ++i) {
    Buffer& b = p.buffers[i];
    if (b.kind == Buffer::Kind::constant) {
      std::memcpy(base + b.place, b.low, b.bytes());
    } else if (b.kind == Buffer::Kind::scratch) {
      p.intermediates += b.bytes();
      if (block_of[i] >= 0) b.place = blocks[static_cast<std::size_t>(block_of[i])].place;
    }
  }
  for (Call& c : p.calls) {
    for (const Operand& o : c.operands) {
      const Buffer& b = p.buffers[static_cast<std::size_t>(o.buffer)];
      if (b.varies()) continue;
      const void* pointer = base + b.place + o.offset;
      std::memcpy(c.bytes() + o.at, &pointer, sizeof pointer);
    }
  }
  // Of what the recording left only sizes are needed from now on.
  p.made.clear();
  for (auto* ports : {&p.inputs, &p.outputs}) {
    for (Port& port : *ports) port.value = {};
  }
}

}  // namespace knet::plan
