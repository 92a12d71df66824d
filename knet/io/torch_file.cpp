// PyTorch's zip files (torch.save since version 1.6): a pickle that says how tensors lie over storages, and a
// member for each storage. Only tensors are read; see pickle.hpp for why that is safe.
#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include "knet/base/text.hpp"
#include "knet/io/pickle.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/io/zip.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

struct TorchSource : TensorSource {
  // Memory that tensors are views of, read as one row.
  struct Block {
    const ZipMember* member;
    Stored stored;
    int uses = 0;
    Tensor values;  // kept while the file is open when there are several users
  };
  struct Place {
    std::size_t block;
    const PickleTensor* tensor;
  };
  SourcePtr source;
  ZipFile zip;
  Pickle pickle;
  std::vector<Block> blocks;
  std::vector<Place> places;
  std::endian order = std::endian::little;
  std::mutex mutex;

  explicit TorchSource(SourcePtr s) : source(std::move(s)), zip(*source) {
    path = source->name(), format = "torch";
    const ZipMember* data = nullptr;
    for (const ZipMember& m : zip.members()) {
      if (m.name != "data.pkl" && !m.name.ends_with("/data.pkl")) continue;
      if (data) source->bad("has two pickles, ", shown(data->name), " and ", shown(m.name));
      data = &m;
    }
    if (!data) source->bad("has no data.pkl (expected a file of torch.save)");
    const std::string folder = data->name.substr(0, data->name.size() - 8);
    if (const ZipMember* m = zip.find(folder + "byteorder")) {
      const auto b = zip.first(*m, 16);
      const std::string_view o(reinterpret_cast<const char*>(b.data()), b.size());
      if (o != "little" && o != "big")
        source->bad("has the byte order ", shown(o), " (expected little or big)");
      if (o == "big") order = std::endian::big;
    }
    const auto bytes = zip.read(*data);
    pickle = read_pickle(*source, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    std::map<std::string_view, const ZipMember*> members;
    for (const ZipMember& m : zip.members()) members.emplace(m.name, &m);
    std::map<std::pair<const ZipMember*, Stored>, std::size_t> known;
    for (const PickleLeaf& leaf : pickle.leaves) {
      const PickleTensor& t = pickle.tensors[leaf.tensor];
      const PickleStorage& storage = pickle.storages[t.storage];
      const auto found = members.find(folder + "data/" + storage.key);
      if (found == members.end())
        source->bad("tensor ", shown(leaf.name), ": its storage ", shown(storage.key),
                    " is not in the archive");
      const ZipMember& m = *found->second;
      check(leaf.name, t, storage, m);
      const auto [it, fresh] = known.emplace(std::pair(&m, t.stored), blocks.size());
      if (fresh) blocks.push_back({&m, t.stored, 0, {}});
      ++blocks[it->second].uses;
      places.push_back({it->second, &t});
      infos.push_back(
          {leaf.name, t.shape, dtype_of(t.stored), t.type, m.stored, t.stored != Stored::unknown});
    }
    for (auto& [name, value] : pickle.remarks) metadata.emplace(name, std::move(value));
    pickle.remarks.clear();
    if (infos.empty() && !pickle.opaque.empty())
      source->bad("has no tensors in dictionaries or lists, but objects of the class ", shown(pickle.opaque),
                  ": classes are not loaded (save the model's state_dict() instead)");
  }

  // Does all of the tensor lie inside its storage, and the storage inside its member?
  void check(const std::string& name, const PickleTensor& t, const PickleStorage& storage,
             const ZipMember& m) {
    const std::uint64_t element = size_of(t.stored);
    if (t.stored == Stored::unknown) return;
    const std::uint64_t numel = storage.untyped ? storage.numel / element : storage.numel;
    if (numel > m.bytes / element)
      source->bad("tensor ", shown(name), ": its storage of ", numel, " elements of ", element, " bytes has ",
                  m.bytes, " bytes in the archive");
    std::uint64_t bytes = 0;
    if (!byte_count(t.shape, size_of(dtype_of(t.stored)), bytes))
      source->bad("tensor ", shown(name), " of shape ", t.shape, " has too many elements");
    auto last = static_cast<std::uint64_t>(t.offset);
    bool overflow = last > numel;
    if (bytes > 0) {
      for (int i = 0; i < t.shape.ndim() && !overflow; ++i) {
        std::uint64_t step = 0;
        overflow = __builtin_mul_overflow(static_cast<std::uint64_t>(t.shape[i] - 1),
                                          static_cast<std::uint64_t>(t.strides[i]), &step) ||
                   __builtin_add_overflow(last, step, &last);
      }
      overflow = overflow || last >= numel;
    }
    if (overflow)
      source->bad("tensor ", shown(name), " of shape ", t.shape, " at ", t.offset,
                  " reaches beyond its storage of ", numel, " elements");
  }

  Tensor values(Block& b) {
    const std::lock_guard lock(mutex);
    if (b.values) return b.values;
    const ZipMember& m = *b.member;
    const std::uint64_t element = size_of(b.stored);
    const Shape row{static_cast<std::int64_t>(m.bytes / element)};
    Tensor t;
    if (!m.deflated && source->mapped()) {
      t = read_stored(*source, m.name, m.position, row, b.stored, order);
    } else if (m.bytes % element == 0 && m.bytes > 0) {
      t = make_stored(text(source->who(), ": ", path, ": ", shown(m.name)), row, b.stored, order,
                      [&](std::byte* to) { zip.read(m, to); });
    } else {
      const auto all = zip.read(m);  // a few bytes more than elements
      t = make_stored(text(source->who(), ": ", path, ": ", shown(m.name)), row, b.stored, order,
                      [&](std::byte* to) {
                        std::copy_n(all.begin(), static_cast<std::size_t>(m.bytes / element * element), to);
                      });
    }
    if (b.uses > 1) b.values = t;
    return t;
  }

  Tensor read(std::size_t i) override {
    const PickleTensor& t = *places[i].tensor;
    Block& b = blocks[places[i].block];
    if (b.stored == Stored::unknown)
      source->bad("tensor ", shown(infos[i].name), " is of type ", shown(t.type), ", which is not supported");
    const Tensor row = values(b);
    // Elements in no order that is their own would be copied here; those that several tensors share, or that
    // are repeated, stay views: a small file must not become large memory.
    Strides strides = t.strides;
    for (int d = 0; d < t.shape.ndim(); ++d) {
      if (t.shape[d] <= 1) strides[d] = row_major(t.shape)[d];
    }
    const Tensor view = TensorAccess::view(row, t.shape, strides, t.shape.numel() == 0 ? 0 : t.offset);
    return b.uses == 1 && t.shape.numel() <= row.numel() ? view.contiguous() : view;
  }
};

}  // namespace

std::unique_ptr<TensorSource> open_torch(SourcePtr s) { return std::make_unique<TorchSource>(std::move(s)); }

}  // namespace knet::io
