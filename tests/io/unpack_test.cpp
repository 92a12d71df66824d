// Zip archives unpacked into a folder: those of other programs, names that lead elsewhere, kinds, limits and
// damage. tar_test.cpp has the same for tar.
#include "knet/io/unpack.hpp"

#include <sys/stat.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "io_test.hpp"
#include "knet/base/text.hpp"
#include "knet/io/npy.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;

namespace {

struct Member {
  std::string name, contents = {};
  std::uint32_t mode = S_IFREG | 0644;
  std::uint64_t bytes = UINT64_MAX;  // said instead of the contents' length
  std::uint32_t wrong = 0;           // added to the checksum
  int method = 0, flags = 0, system = 3;
};

void put(std::string& to, std::uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(v >> 8 * i);
}
std::string deflate_raw(const std::string& s) {
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) return "";
  std::string out(s.size() + 100, '\0');
  z.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(s.data()));
  z.avail_in = static_cast<uInt>(s.size());
  z.next_out = reinterpret_cast<unsigned char*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string zip(const std::vector<Member>& members) {
  std::string file, directory;
  for (const Member& m : members) {
    const std::string data = m.method == 8 ? deflate_raw(m.contents) : m.contents;
    const std::uint64_t bytes = m.bytes == UINT64_MAX ? m.contents.size() : m.bytes;
    const auto crc = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const unsigned char*>(m.contents.data()), m.contents.size()));
    const std::size_t at = file.size();
    for (std::string* to : {&file, &directory}) {
      const bool local = to == &file;
      put(*to, local ? 0x04034b50 : 0x02014b50, 4);
      if (!local) put(*to, 20, 1), put(*to, static_cast<std::uint64_t>(m.system), 1);
      put(*to, 20, 2), put(*to, static_cast<std::uint64_t>(m.flags), 2);
      put(*to, static_cast<std::uint64_t>(m.method), 2), put(*to, 0, 4);
      put(*to, crc + m.wrong, 4), put(*to, data.size(), 4), put(*to, bytes, 4);
      put(*to, m.name.size(), 2), put(*to, 0, 2);
      if (!local) put(*to, 0, 2), put(*to, 0, 4), put(*to, m.mode << 16, 4), put(*to, at, 4);
      *to += m.name;
    }
    file += data;
  }
  const std::size_t begin = file.size();
  file += directory;
  put(file, 0x06054b50, 4), put(file, 0, 4), put(file, members.size(), 2), put(file, members.size(), 2);
  put(file, directory.size(), 4), put(file, begin, 4), put(file, 0, 2);
  return file;
}

class Unzip : public Folder {
 protected:
  std::vector<std::string> unpack(const std::string& archive, const io::UnpackOptions& o = {}) {
    write(path("a.zip"), archive);
    return io::unpack_zip(path("a.zip"), path("out"), o);
  }
  std::string refused(const std::string& archive, const io::UnpackOptions& o = {}) {
    return error_of([&] { unpack(archive, o); });
  }
  bool made() const { return std::filesystem::exists(path("out")); }
};

TEST_F(Unzip, FilesAndFolders) {
  std::string big;
  while (big.size() < 300'000) big += text(big.size(), ' ');  // larger than every buffer on the way
  const std::string a = zip({{"d/", "", S_IFDIR | 0755},
                             {"d/one", "1"},
                             {"./e/f/two", big, S_IFREG | 0600, UINT64_MAX, 0, 8},
                             {"stored", big},
                             {"empty", "", 0, UINT64_MAX, 0, 8, 0, 0},
                             {"g/", "", 0, UINT64_MAX, 0, 0, 0, 0}});
  EXPECT_EQ(unpack(a), (std::vector<std::string>{"d/one", "./e/f/two", "stored", "empty"}));
  EXPECT_EQ(read(path("out/d/one")), "1");
  EXPECT_TRUE(read(path("out/e/f/two")) == big);
  EXPECT_TRUE(read(path("out/stored")) == big);
  EXPECT_EQ(read(path("out/empty")), "");
  EXPECT_TRUE(std::filesystem::is_directory(path("out/g")));
  unpack(zip({{"d/one", "2"}}));  // over what is there
  EXPECT_EQ(read(path("out/d/one")), "2");
  EXPECT_TRUE(unpack(zip({})).empty());
}

// numpy's and PyTorch's archives, as they come.
TEST_F(Unzip, OfOtherPrograms) {
  for (const char* name : {"deflated.npz", "every.npz", "state.pt"}) {
    const auto names = io::unpack(test_data(text("files/", name)), path("out"));
    ASSERT_FALSE(names.empty()) << name;
    for (const auto& n : names) EXPECT_TRUE(std::filesystem::is_regular_file(path("out/" + n))) << n;
  }
  EXPECT_TRUE(equal(io::load_npy(path("out/zeros.npy")), zeros({50, 20}, f64)));
}

TEST_F(Unzip, EitherKind) {
  write(path("tar"), std::string(1024, '\0'));
  EXPECT_TRUE(io::unpack(path("tar"), path("out")).empty());
  write(path("zip"), zip({{"x", "1"}}));
  EXPECT_EQ(io::unpack(path("zip"), path("out")).size(), 1u);
  EXPECT_TRUE(has(error_of([&] { io::unpack(path("none"), path("out")); }), "none"));
}

// Everything is looked at before the first byte is written.
TEST_F(Unzip, NothingLeavesTheFolder) {
  write(path("victim"), std::string("untouched"));
  const auto with = [](const Member& m) { return zip({{"first", "x"}, m}); };
  EXPECT_TRUE(has(refused(with({"../victim", "bad"})), "leads outside"));
  EXPECT_TRUE(has(refused(with({"a/../../victim", "bad"})), "leads outside"));
  EXPECT_TRUE(has(refused(with({"../", "", S_IFDIR | 0755})), "leads outside"));
  EXPECT_TRUE(has(refused(with({path("victim"), "bad"})), "absolute"));
  EXPECT_TRUE(has(refused(with({"..\\victim", "bad", 0, UINT64_MAX, 0, 0, 0, 0})), "backslash"));
  EXPECT_TRUE(has(refused(with({"l", "../victim", S_IFLNK | 0777})), "is a link"));
  EXPECT_TRUE(has(refused(with({"l/", "", S_IFLNK | 0777})), "is a link"));
  EXPECT_TRUE(has(refused(with({"p", "", S_IFIFO | 0644})), "pipe"));
  EXPECT_TRUE(has(refused(with({".", "bad"})), "no name"));
  EXPECT_TRUE(has(refused(with({"", "bad"})), "no name"));
  EXPECT_TRUE(has(refused(with({"d/", "bad", S_IFDIR | 0755})), "folder with contents"));
  EXPECT_TRUE(has(refused(with({std::string("a\0b", 3), "bad"})), "null byte"));
  EXPECT_TRUE(has(refused(with({std::string(5000, 'n'), "bad"})), "too long"));
  EXPECT_FALSE(made());
  std::filesystem::create_directories(path("out"));
  std::filesystem::create_directory_symlink(folder, path("out/way"));
  EXPECT_TRUE(has(refused(zip({{"way/victim", "bad"}})), "through something that is a link"));
  std::filesystem::create_symlink(path("victim"), path("out/file"));
  unpack(zip({{"file", "new"}}));
  EXPECT_FALSE(std::filesystem::is_symlink(path("out/file")));
  EXPECT_EQ(read(path("victim")), "untouched");
  // A file where a folder is wanted.
  EXPECT_TRUE(has(refused(zip({{"file/inside", "x"}})), "no folder"));
}

TEST_F(Unzip, Limits) {
  const std::string a = zip({{"a", "123"}, {"b", "456"}});
  EXPECT_TRUE(has(refused(a, {.max_bytes = 5}), "more than the 5 bytes"));
  EXPECT_TRUE(has(refused(a, {.max_files = 1}), "more than the 1 files"));
  EXPECT_FALSE(made());
  EXPECT_EQ(unpack(a, {.max_bytes = 6, .max_files = 2}).size(), 2u);
  // A bomb: what it says is too much, or it says too little.
  const std::string zeros(10 << 20, '\0');
  EXPECT_TRUE(has(refused(zip({{"z", zeros, S_IFREG, UINT64_MAX, 0, 8}}), {.max_bytes = 1 << 20}), "bytes"));
  EXPECT_LT(most_memory([&] {
              EXPECT_TRUE(has(refused(zip({{"z", zeros, S_IFREG, 100, 0, 8}})), "more than its 100 bytes"));
            }),
            std::size_t{64} << 20);
  EXPECT_FALSE(std::filesystem::exists(path("out/z")));
}

TEST_F(Unzip, Damage) {
  EXPECT_TRUE(has(refused(zip({{"m", "12345", S_IFREG, UINT64_MAX, 1}})), "checksum"));
  EXPECT_TRUE(has(refused(zip({{"m", "12345", S_IFREG, UINT64_MAX, 1, 8}})), "checksum"));
  EXPECT_TRUE(has(refused(zip({{"m", "12345", S_IFREG, 6, 0, 8}})), "unfolds to 5"));
  EXPECT_TRUE(has(refused(zip({{"m", "12345", S_IFREG, UINT64_MAX, 0, 0, 1}})), "encrypted"));
  EXPECT_TRUE(has(refused(zip({{"m", "12345", S_IFREG, UINT64_MAX, 0, 12}})), "method 12"));
  EXPECT_TRUE(has(refused(zip({{"m", "1"}, {"m", "2"}})), "two members"));
  EXPECT_TRUE(has(refused("hello"), "zip"));
  // No half file, and nothing left beside it.
  std::size_t n = 0;
  for ([[maybe_unused]] auto& f : std::filesystem::directory_iterator(path("out"))) ++n;
  EXPECT_EQ(n, 0u);
  const std::string a = zip({{"d/one", "12345"}, {"two", std::string(700, 'x'), S_IFREG, UINT64_MAX, 0, 8}});
  for (std::size_t k = 0; k < a.size(); ++k) ASSERT_TRUE(has(refused(a.substr(0, k)), "a.zip")) << k;
}

}  // namespace
