// safetensors in several files with an index of which tensor is where, as large models are published.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/io/safetensors_header.hpp"
#include "knet/io/tensor_source.hpp"

namespace knet::io {
namespace {

using nlohmann::json;

constexpr std::string_view ending = ".safetensors.index.json";

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// The index is at most as deep as it needs to be, so a hostile one can not make a deep tree.
json parse_index(const ByteSource& s) {
  constexpr std::uint64_t limit = 100'000'000;
  if (s.size() > limit) s.bad("has ", s.size(), " bytes (expected an index of at most ", limit, ")");
  const auto text = s.read(0, s.size());
  const auto* p = reinterpret_cast<const char*>(text.data());
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    if (depth > 8) s.bad("has lists or objects inside each other more than 8 deep");
    return true;
  };
  json j;
  try {
    j = json::parse(p, p + text.size(), shallow);
  } catch (const json::exception& e) {
    s.bad("is not JSON (expected an index of safetensors)");
  }
  if (!j.is_object() || !j.contains("weight_map") || !j["weight_map"].is_object())
    s.bad("has no object \"weight_map\" (expected an index of safetensors)");
  return j;
}

struct ShardedSource : TensorSource {
  struct Place {
    std::size_t shard, tensor;
  };
  std::vector<std::unique_ptr<TensorSource>> shards;
  std::vector<Place> places;

  ShardedSource(SourcePtr index, const OpenOptions& options) {
    path = index->name(), format = "sharded safetensors";
    const json j = parse_index(*index);
    std::map<std::string, std::map<std::string, bool>> wanted;  // shard, name, found
    for (const auto& [name, file] : j["weight_map"].items()) {
      if (!file.is_string()) index->bad("says no file for tensor ", shown(name));
      const auto& f = file.get_ref<const std::string&>();
      if (f.empty() || f == "." || f == ".." || f.find_first_of(std::string_view("/\\\0", 3)) != f.npos)
        index->bad("says tensor ", shown(name), " is in ", shown(f),
                   " (expected the name of a file beside it)");
      wanted[f][name] = false;
    }
    if (j.contains("metadata") && j["metadata"].is_object()) {
      for (const auto& [k, v] : j["metadata"].items())
        metadata[k] = v.is_string() ? v.get<std::string>() : v.dump();
    }
    for (auto& [file, names] : wanted) {
      shards.push_back(
          open_safetensors(std::make_unique<ByteSource>(index->who(), folder_of(path) + file, options.map)));
      const auto& shard = *shards.back();
      for (std::size_t i = 0; i < shard.infos.size(); ++i) {
        const auto it = names.find(shard.infos[i].name);
        if (it == names.end()) continue;
        it->second = true;
        infos.push_back(shard.infos[i]);
        places.push_back({shards.size() - 1, i});
      }
      for (auto& [name, found] : names) {
        if (!found)
          index->bad("says tensor ", shown(name), " is in ", shown(file), ", which has no such tensor");
      }
    }
  }
  Tensor read(std::size_t i) override { return shards[places[i].shard]->read(places[i].tensor); }
};

std::string shard_name(const std::string& stem, std::size_t i, std::size_t n) {
  char number[48];
  std::snprintf(number, sizeof number, "-%05zu-of-%05zu", i + 1, n);
  return stem + number + ".safetensors";
}

}  // namespace

std::unique_ptr<TensorSource> open_sharded(SourcePtr s, const OpenOptions& options) {
  return std::make_unique<ShardedSource>(std::move(s), options);
}

void save_sharded(const std::string& index, const NamedTensors& tensors, const ShardOptions& options,
                  const Metadata& metadata) {
  if (!index.ends_with(ending) || index.size() == ending.size() ||
      index[index.size() - ending.size() - 1] == '/')
    fail<ValueError>("save_sharded: ", index, ": expected a name that ends in ", ending);
  if (options.max_bytes == 0) fail<ValueError>("save_sharded: ", index, ": max_bytes is 0");
  std::set<std::string_view> names;
  for (auto& [name, t] : tensors) {
    if (!names.insert(name).second)
      fail<ValueError>("save_sharded: ", index, ": the name \"", name, "\" is there twice");
  }
  std::vector<NamedTensors> shards(1);
  std::uint64_t total = 0, here = 0;
  for (const auto& e : tensors) {
    const auto bytes = static_cast<std::uint64_t>(e.second.numel()) * size_of(e.second.dtype());
    if (!shards.back().empty() && (here > options.max_bytes || bytes > options.max_bytes - here)) {
      shards.emplace_back();
      here = 0;
    }
    shards.back().push_back(e);
    here += bytes, total += bytes;
  }
  const std::string stem = index.substr(0, index.size() - ending.size()), folder = folder_of(index);
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  auto& object = map.get_ref<nlohmann::ordered_json::object_t&>();
  std::vector<std::unique_ptr<AtomicFile>> files;
  Metadata remarks = metadata;
  remarks.emplace("format", "pt");  // transformers refuses shards that do not say so
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string path = shard_name(stem, i, shards.size());
    files.push_back(std::make_unique<AtomicFile>(path));
    detail::write_safetensors(*files.back(), path, shards[i], remarks);
    for (const auto& e : shards[i]) object.emplace_back(e.first, path.substr(folder.size()));
  }
  nlohmann::ordered_json j;
  j["metadata"] = nlohmann::ordered_json(metadata);
  j["metadata"]["total_size"] = total;
  j["weight_map"] = std::move(map);
  const std::string text = j.dump(2) + "\n";
  files.push_back(std::make_unique<AtomicFile>(index));
  files.back()->write(text.data(), text.size());
  for (auto& f : files) f->commit();
}

}  // namespace knet::io
