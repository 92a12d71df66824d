// Tar archives: the forms of names and sizes, damage, and archives that want to write elsewhere.
#include "knet/io/tar.hpp"

#include <sys/stat.h>

#include <cstdio>

#include "io_test.hpp"
#include "knet/io/gzip.hpp"
#include "knet/io/unpack.hpp"

using namespace io_test;
using namespace knet;

namespace {

struct Header {
  std::string name;
  char kind = '0';
  std::string prefix = {}, link = {};
  std::string size = {};  // instead of the contents' own
};
std::string entry(const Header& h, const std::string& contents = "") {
  std::string b(512, '\0');
  const auto put = [&](std::size_t at, const std::string& s) { b.replace(at, s.size(), s); };
  char octal[16];
  std::snprintf(octal, sizeof octal, "%011zo", contents.size());
  put(0, h.name.substr(0, 100));
  put(100, "0000644");
  put(124, h.size.empty() ? octal : h.size);
  put(148, "        ");
  b[156] = h.kind;
  put(157, h.link);
  put(257, std::string("ustar\0"
                       "00",
                       8));
  put(345, h.prefix);
  unsigned sum = 0;
  for (char c : b) sum += static_cast<unsigned char>(c);
  std::snprintf(octal, sizeof octal, "%06o", sum);
  put(148, std::string(octal) + '\0');
  return b + contents + std::string((512 - contents.size() % 512) % 512, '\0');
}
const std::string tail(1024, '\0');

class Tar : public Folder {
 protected:
  std::vector<std::string> unpack(const std::string& archive, const io::UnpackOptions& o = {}) {
    write(path("a.tar"), archive);
    return io::unpack_tar(path("a.tar"), path("out"), o);
  }
  std::string refused(const std::string& archive) {
    return error_of([&] { unpack(archive); });
  }
};

TEST_F(Tar, FilesAndFolders) {
  const std::string big(100'000, 'x');
  const std::string a =
      entry({"d/", '5'}) + entry({"d/one"}, "1") + entry({"./e/f/two"}, big) + entry({"empty"}) + tail;
  EXPECT_EQ(unpack(a), (std::vector<std::string>{"d/one", "./e/f/two", "empty"}));
  EXPECT_EQ(read(path("out/d/one")), "1");
  EXPECT_EQ(read(path("out/e/f/two")), big);
  EXPECT_EQ(read(path("out/empty")), "");
  // Again, compressed, over what is there; and without the end that some programs leave out.
  write(path("b.tgz"), io::gzip(bytes(entry({"d/one"}, "2"))));
  io::unpack_tar(path("b.tgz"), path("out"));
  EXPECT_EQ(read(path("out/d/one")), "2");
}

TEST_F(Tar, LongNames) {
  const std::string deep = std::string(90, 'a') + '/' + std::string(90, 'b');
  const std::string pax_record = "path=" + deep + "-pax\n",
                    pax = std::to_string(pax_record.size() + 4) + ' ' + pax_record;
  const std::string a = entry({std::string(90, 'b'), '0', std::string(90, 'a')}, "ustar") +
                        entry({"././@LongLink", 'L'}, deep + "-gnu" + '\0') + entry({"cut"}, "gnu") +
                        entry({"pax", 'x'}, pax + "11 size=03\n") +
                        entry({"cut", '0', {}, {}, "00000000000"}) + "pax" + std::string(509, '\0') +
                        entry({"global", 'g'}, "9 k=text\n") + tail;
  unpack(a);
  EXPECT_EQ(read(path("out/" + deep)), "ustar");
  EXPECT_EQ(read(path("out/" + deep + "-gnu")), "gnu");
  EXPECT_EQ(read(path("out/" + deep + "-pax")), "pax");
}

TEST_F(Tar, NothingLeavesTheFolder) {
  write(path("victim"), std::string("untouched"));
  EXPECT_TRUE(has(refused(entry({"../victim"}, "bad") + tail), "leads outside"));
  EXPECT_TRUE(has(refused(entry({"a/../../victim"}, "bad") + tail), "leads outside"));
  EXPECT_TRUE(has(refused(entry({path("victim")}, "bad") + tail), "absolute"));
  EXPECT_TRUE(has(refused(entry({"..", '5'}) + tail), "leads outside"));
  EXPECT_TRUE(has(refused(entry({"/", '5'}) + tail), "absolute"));
  EXPECT_TRUE(has(refused(entry({"l", '2', {}, ".."}) + entry({"l/victim"}, "bad") + tail), "is a link"));
  EXPECT_TRUE(has(refused(entry({"l", '1', {}, "../victim"}) + tail), "is a link"));
  EXPECT_TRUE(has(refused(entry({"fifo", '6'}) + tail), "pipe"));
  EXPECT_TRUE(has(refused(entry({"."}, "bad") + tail), "no name"));
  EXPECT_TRUE(
      has(refused(entry({std::string("x"), 'x'}, std::string("14 path=a\0b/c\n", 14)) + entry({"n"}) + tail),
          "null byte"));
  // A link that lies there already, made by somebody else.
  std::filesystem::create_directories(path("out"));
  std::filesystem::create_directory_symlink(folder, path("out/way"));
  EXPECT_TRUE(has(refused(entry({"way/victim"}, "bad") + tail), "through something that is a link"));
  std::filesystem::create_symlink(path("victim"), path("out/file"));
  unpack(entry({"file"}, "new") + tail);  // the link gives way to a file
  EXPECT_EQ(read(path("out/file")), "new");
  EXPECT_FALSE(std::filesystem::is_symlink(path("out/file")));
  EXPECT_EQ(read(path("victim")), "untouched");
}

TEST_F(Tar, Limits) {
  const std::string a = entry({"a"}, "123") + entry({"b"}, "456") + tail;
  EXPECT_THROW(unpack(a, {.max_bytes = 5}), IoError);
  EXPECT_THROW(unpack(a, {.max_files = 1}), IoError);
  EXPECT_EQ(unpack(a, {.max_bytes = 6, .max_files = 2}).size(), 2u);
  // A size that the archive does not have, as octal and as a binary number.
  const std::string huge("\x80\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff", 12);
  for (const std::string& size : {std::string("77777777777"), huge}) {
    EXPECT_LT(most_memory([&] {
                EXPECT_TRUE(has(refused(entry({"a", '0', {}, {}, size}) + tail), "a"));
                EXPECT_TRUE(has(refused(entry({"a", 'L', {}, {}, size}) + tail), "a name"));
              }),
              std::size_t{1} << 20);
  }
  EXPECT_EQ(read(path("out/a")), "123");  // the whole one stays
  std::size_t n = 0;
  for ([[maybe_unused]] auto& f : std::filesystem::directory_iterator(path("out"))) ++n;
  EXPECT_EQ(n, 2u);
}

TEST_F(Tar, Damage) {
  const std::string a = entry({"d/one"}, "12345") + entry({"two"}, std::string(700, 'x')) + tail;
  const auto listed = [](const std::string& archive) {
    const Bytes b = bytes(archive);
    io::TarReader r(b, "memory");
    for (io::TarEntry e; r.next(e);) {
    }
  };
  for (std::size_t n = 0; n < 2560; ++n) {  // up to the end of the second file
    if (n == 1024) continue;                // a border, where archives without an end stop
    ASSERT_TRUE(has(error_of([&] { listed(a.substr(0, n)); }), "memory: at byte")) << n;
  }
  for (std::size_t i = 0; i < 512; ++i) {
    if (i == 155) continue;  // behind the checksum's end
    std::string b = a;
    b[i] = static_cast<char>(b[i] ^ 1);
    ASSERT_TRUE(has(error_of([&] { listed(b); }), "at byte 512")) << i;
  }
  EXPECT_TRUE(has(refused("hello"), "no tar archive"));
  EXPECT_TRUE(has(refused(entry({"x", 'x'}, "999 path=a\n") + tail), "pax"));
  EXPECT_TRUE(has(refused(entry({"x", 'x'}, "0 path=a\n") + tail), "pax"));
  EXPECT_TRUE(has(refused(entry({"x", 'x'}, "11 path=ab\n") + tail), "after a long name"));
  EXPECT_TRUE(has(refused(entry({"a", '0', {}, {}, "0000x"}) + tail), "octal"));
  const auto packed = io::gzip(bytes(a));
  write(path("c.tgz"), Bytes(packed.begin(), packed.end() - 6));
  EXPECT_THROW(io::unpack_tar(path("c.tgz"), path("out")), IoError);
}

}  // namespace
