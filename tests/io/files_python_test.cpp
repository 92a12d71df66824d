// Files written here are read by numpy, safetensors and Python's wave.
#include "io_test.hpp"
#include "knet/io/npy.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/io/wav.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;

namespace {

using FilesToPython = Folder;

TEST_F(FilesToPython, AreRead) {
  if (std::system("python3 -c 'import numpy, safetensors' >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "no python3 with numpy and safetensors";
  const Tensor a(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3});
  const io::NamedTensors named = {{"f4", a},
                                  {"t", a.T()},
                                  {"f2", a.to(f16)},
                                  {"f8", a.to(f64)},
                                  {"i4", Tensor(std::vector<int>{-1, 2})},
                                  {"i8", Tensor(std::vector<std::int64_t>{-1, std::int64_t{1} << 40})},
                                  {"u1", Tensor(std::vector<std::uint8_t>{0, 255})},
                                  {"b1", Tensor(std::vector<bool>{true, false})},
                                  {"scalar", Tensor(std::vector<float>{7}, {})},
                                  {"none", zeros({0, 4}, f32)}};
  for (auto& [name, t] : named) io::save_npy(path(name + ".npy"), t);
  io::save_npz(path("stored.npz"), named);
  io::save_npz(path("deflated.npz"), named, {.compress = true});
  io::save_sharded(path("model.safetensors.index.json"), named, {.max_bytes = 50}, {{"note", "x"}});
  const Tensor sound(std::vector<float>{0, 0.5f, -1, 1, -0.5f, 0.25f}, {2, 3});
  for (int i = 0; i < 4; ++i)
    io::save_wav(path("pcm" + std::to_string(8 * (i + 1)) + ".wav"), sound, 8000,
                 {.format = static_cast<io::WavFormat>(i)});
  EXPECT_EQ(
      std::system(("python3 " + root() + "/tests/reference/files_reference.py check " + folder).c_str()), 0);
}

}  // namespace
