// Whatever happens while a file is saved (no space, an error, a kill), the old one stays whole.
#include "knet/io/atomic_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "io_test.hpp"

using namespace io_test;
namespace io = knet::io;

namespace {

// Runs f in a child process; its exit status, or -1 when it was killed. f must not use threads.
template <class F>
int in_child(const F& f) {
  const pid_t child = fork();
  if (child == 0) _exit(f());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

using Atomic = Folder;

TEST_F(Atomic, WritesAndReplaces) {
  io::write_file(path("a"), bytes("first"));
  EXPECT_EQ(read(path("a")), "first");
  io::write_file(path("a"), bytes("2nd"));
  EXPECT_EQ(read(path("a")), "2nd");
  io::write_file(path("empty"), {});
  EXPECT_EQ(read(path("empty")), "");
  EXPECT_EQ(files(), 2u);
}

TEST_F(Atomic, WithoutCommitNothingHappens) {
  write(path("a"), "old");
  {
    io::AtomicFile f(path("a"));
    f.write("new", 3);
    EXPECT_EQ(files(), 2u);
    EXPECT_EQ(read(path("a")), "old");
  }
  EXPECT_EQ(read(path("a")), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Atomic, IsOverAfterCommit) {
  io::AtomicFile f(path("a"));
  f.commit();
  EXPECT_TRUE(has(error_of([&] { f.write("x", 1); }), "committed already"));
  EXPECT_TRUE(has(error_of([&] { f.commit(); }), "committed already"));
}

TEST_F(Atomic, KeepsPermissionsAndFollowsLinks) {
  write(path("target"), "old");
  chmod(path("target").c_str(), 0640);
  ASSERT_EQ(symlink("target", path("link").c_str()), 0);
  io::write_file(path("link"), bytes("new"));
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(read(path("target")), "new");
  struct stat s {};
  ASSERT_EQ(stat(path("target").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0640u);
  const mode_t old = umask(022);
  io::write_file(path("fresh"), {});
  umask(old);
  ASSERT_EQ(stat(path("fresh").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0644u);
}

TEST_F(Atomic, SaysWhatIsWrong) {
  EXPECT_TRUE(has(error_of([&] { io::write_file(path("no/folder"), {}); }), "No such file or directory"));
  EXPECT_TRUE(has(error_of([&] { io::write_file(folder, {}); }), "is a folder"));
  EXPECT_TRUE(has(error_of([&] { io::write_file("/dev/full", {}); }), "/dev/full: is a pipe or device"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Atomic, NameAsLongAsTheSystemAllows) {
  const std::string name(255, 'n');
  io::write_file(path(name), bytes("x"));
  EXPECT_EQ(read(path(name)), "x");
}

// A limit on the size of files stands for the full disk: write() fails in the middle in the same way.
TEST_F(Atomic, NoSpaceLeavesTheOldFile) {
  write(path("a"), "old");
  const int result = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    try {
      io::write_file(path("a"), Bytes(1'000'000));
    } catch (const knet::IoError& e) {
      return has(e.what(), "writing failed, the file is unchanged: File too large") ? 0 : 3;
    }
    return 4;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read(path("a")), "old");
  EXPECT_EQ(files(), 1u) << "the temporary file is still there";
}

TEST_F(Atomic, KillLeavesAWholeFile) {
  const Bytes a(300'000, std::byte{'a'}), b(300'000, std::byte{'b'});
  io::write_file(path("file"), a);
  int changes = 0;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) {
        io::write_file(path("file"), b);
        io::write_file(path("file"), a);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const std::string now = read(path("file"));
    ASSERT_EQ(now.size(), a.size());
    ASSERT_EQ(now, std::string(a.size(), now[0]));
    changes += now[0] == 'b';
  }
  RecordProperty("killed_after_b", changes);
}

TEST_F(Atomic, KillBeforeCommitLeavesTheOldFile) {
  write(path("a"), "old");
  EXPECT_EQ(in_child([&] {
              io::AtomicFile f(path("a"));
              f.write("half of the new", 15);
              raise(SIGKILL);
              return 0;
            }),
            -1);
  EXPECT_EQ(read(path("a")), "old");
}

TEST_F(Atomic, FolderThatCanNotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  write(path("a"), "old");
  chmod(folder.c_str(), 0500);
  EXPECT_TRUE(has(error_of([&] { io::write_file(path("a"), bytes("new")); }), "Permission denied"));
  chmod(folder.c_str(), 0700);
  EXPECT_EQ(read(path("a")), "old");
}

}  // namespace
