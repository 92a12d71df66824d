// Small models whose weights come from their names, as tests/reference/language_reference.py makes them.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "benchmarks/common.hpp"
#include "tests/reference/reference.hpp"

namespace knet::test {

template <class M>
void fill_by_name(M& model) {
  for (auto& [name, param] : named_params(model)) {
    std::vector<std::int64_t> size;
    for (int i = 0; i < param->ndim(); ++i) size.push_back(param->size(i));
    *param = Tensor(bench::parameter(name, size), param->shape());
  }
}

/// An empty folder that goes away with the object.
struct Folder {
  std::string path;
  explicit Folder(const std::string& name) : path(testing::TempDir() + "knet-" + name) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& file) const { return path + "/" + file; }
  void write(const std::string& file, const std::string& content) const {
    std::ofstream(*this / file, std::ios::binary) << content;
  }
};

/// Does f throw an E whose message has every one of the parts?
template <class E, class F>
void expect_error(F&& f, std::initializer_list<const char*> parts) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected a message with " << *parts.begin();
  } catch (const E& e) {
    for (const char* part : parts)
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << "\nhas no " << part;
  }
}

inline models::GPT2Config tiny_gpt2() {
  return {.vocabulary = 61, .positions = 24, .size = 32, .layers = 3, .heads = 4};
}

}  // namespace knet::test
