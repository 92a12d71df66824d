// Every writer of the library where writing fails: a file that may not grow, a full disk, a folder that may
// not be written or that is gone, and a kill in the middle. What was there stays, nothing half written
// remains, and the error names the file.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "knet/data/datasets/clevr.hpp"
#include "knet/data/datasets/conllu.hpp"
#include "knet/data/datasets/csv.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/idx.hpp"
#include "knet/knet.hpp"
#include "knet/train/event_file.hpp"

namespace {
using namespace knet;
namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ostringstream s;
  s << std::ifstream(file, std::ios::binary).rdbuf();
  return s.str();
}

class FailingWrites : public testing::Test {
 protected:
  FailingWrites() {
    std::string name = (fs::temp_directory_path() / "knet-failing-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~FailingWrites() override { fs::remove_all(folder); }
  fs::path folder;
};

// While it lives no file may grow beyond `bytes`; writing more fails as on a full disk.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// What writes a file: a small one below 4 kB, or a large one of more than 39 kB. One that writes several
// files has an error that names the first of them.
struct Writer {
  const char* file;
  std::function<void(const std::string& path, bool large)> write;
};

Tensor numbers(bool large) { return arange(0, large ? 20'000 : 20).to(f32); }
Tensor noise(std::int64_t size) {
  Generator g(1);
  return rand({3, size, size}, g);
}
Tokenizer tokenizer(bool large) {
  TokenTable tokens;
  for (int i = 0; i < (large ? 5'000 : 20); ++i) tokens.add("word" + std::to_string(i));
  return {.model = BytePair(std::move(tokens), {}, {.byte_level = true})};
}
std::vector<datasets::ConlluSentence> sentences(bool large) {
  const auto one = datasets::parse_conllu("1\tbir\tbir\tNUM\t_\tNumType=Card\t0\troot\t_\t_\n\n");
  return std::vector(large ? 2'000 : 2, one[0]);
}

std::vector<Writer> writers() {
  std::vector<Writer> all{
      {"a.safetensors",
       [](auto& p, bool l) {
         io::save_safetensors(p, {{"w", numbers(l)}});
       }},
      {"a.npy", [](auto& p, bool l) { io::save_npy(p, numbers(l)); }},
      {"a.npz",
       [](auto& p, bool l) {
         io::save_npz(p, {{"a", numbers(false)}, {"w", numbers(l)}});
       }},
      {"a.wav", [](auto& p, bool l) { io::save_wav(p, numbers(l) / 20'000.0, 8000); }},
      {"a.idx", [](auto& p, bool l) { io::write_idx(p, numbers(l)); }},
      {"model.safetensors",
       [](auto& p, bool l) {
         save(p, MLP{{l ? 20'000 : 2, 1}});
       }},
      {"checkpoint",
       [](auto& p, bool l) {
         MLP model{{l ? 20'000 : 2, 1}};
         Optimizer opt(model, Momentum{});
         Checkpoint().model(model).optimizer(opt).save(p);
       }},
      {"dict.json",
       [](auto& p, bool l) {
         IndexedDict<std::string> d;
         for (int i = 0; i < (l ? 20'000 : 20); ++i) d.push_back("word" + std::to_string(i));
         save_dict(p, d);
       }},
      {"vectors.txt",
       [](auto& p, bool l) {
         WordVectors v;
         for (int i = 0; i < (l ? 5'000 : 5); ++i) v.words.push_back("w" + std::to_string(i));
         v.vectors = numbers(l).reshape({l ? 5'000 : 5, 4});
         save_word_vectors(p, v);
       }},
      {"trace.json",
       [](auto& p, bool l) {
         Profile profile(p);
         const Tensor x = ones({2, 2});
         for (int i = 0; i < (l ? 3'000 : 2); ++i) matmul(x, x);
         profile.stop();
       }},
      {"shard-00001-of-00001.safetensors",
       [](auto& p, bool l) {
         io::save_sharded(fs::path(p).parent_path() / "shard.safetensors.index.json", {{"w", numbers(l)}});
       }},
      {"vocabulary.json",
       [](auto& p, bool l) {
         VocabularyBuilder b;
         for (int i = 0; i < (l ? 5'000 : 5); ++i) b.add("word" + std::to_string(i));
         save_vocabulary(p, b.build());
       }},
      {"tokenizer.json", [](auto& p, bool l) { save_tokenizer(p, tokenizer(l)); }},
      {"vocab.json",
       [](auto& p, bool l) {
         save_gpt2_tokenizer(p, fs::path(p).parent_path() / "merges.txt", tokenizer(l));
       }},
      {"a.conllu", [](auto& p, bool l) { datasets::write_conllu(p, sentences(l)); }},
      {"a.features",
       [](auto& p, bool l) {
         datasets::ClevrFeatureWriter w(p);
         w.write(numbers(l));
         w.commit();
       }},
  };
  if (io::has_jpeg()) all.push_back({"a.jpg", [](auto& p, bool l) { io::save_jpeg(p, noise(l ? 300 : 8)); }});
  if (io::can_save_png()) {
    all.push_back({"a.png", [](auto& p, bool l) { io::save_png(p, noise(l ? 300 : 8)); }});
    all.push_back({"grid.png", [](auto& p, bool l) {
                     const std::int64_t n = l ? 150 : 4;
                     io::save_png(p, io::image_grid(noise(2 * n).reshape({4, 3, n, n}), 2, 1));
                   }});
    all.push_back({"plot.png", [](auto& p, bool l) {
                     const auto y = l ? noise(60).flatten().to_vector<double>() : std::vector<double>{0, 1};
                     const int size = l ? 2'000 : 200;
                     io::save_plot(p, {{.name = "noise", .y = y}}, {.width = size, .height = size});
                   }});
  }
  return all;
}

void clear(const fs::path& folder) {
  const std::vector<fs::path> all(fs::directory_iterator(folder), {});
  for (const fs::path& p : all) fs::remove_all(p);
}

// What is in the folder, with contents.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& e : fs::directory_iterator(folder)) all[e.path().filename()] = read(e.path());
  return all;
}
// The message of the IoError that f gives.
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const IoError& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string("another error: ") + e.what();
  }
  return "no error";
}
void expect_says(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message << "\ndoes not say " << part;
}

TEST_F(FailingWrites, AFileThatMayNotGrow) {
  for (const Writer& w : writers()) {
    SCOPED_TRACE(w.file);
    const std::string path = folder / w.file;
    w.write(path, false);
    const auto before = contents(folder);
    ASSERT_LT(before.at(w.file).size(), 4096u);
    std::string message;
    {
      const SmallFiles limit(20'000);
      message = error_of([&] { w.write(path, true); });
    }
    expect_says(message, path);
    expect_says(message, "File too large");
    EXPECT_TRUE(contents(folder) == before);
    w.write(path, true);  // and it goes on working
    EXPECT_GT(fs::file_size(path), 39'000u);
    clear(folder);
  }
}

TEST_F(FailingWrites, AFullDisk) {
  const std::string disk = folder / "disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=32k") != 0)
    GTEST_SKIP() << "no file system can be mounted here: " << std::strerror(errno);
  for (const Writer& w : writers()) {
    SCOPED_TRACE(w.file);
    const std::string path = disk + "/" + w.file;
    w.write(path, false);
    const auto before = contents(disk);
    const std::string message = error_of([&] { w.write(path, true); });
    expect_says(message, path);
    expect_says(message, "No space left");
    EXPECT_TRUE(contents(disk) == before);
    w.write(path, false);
    clear(disk);
  }
  umount(disk.c_str());
}

TEST_F(FailingWrites, AFolderThatMayNotBeWritten) {
  fs::permissions(folder, fs::perms(0755));
  for (const Writer& w : writers()) w.write(folder / w.file, false);
  std::ofstream(folder / "log.csv") << "a\n1\n";
  const auto before = contents(folder);
  const bool root = geteuid() == 0;  // who may write everywhere
  if (root && seteuid(65534) != 0) GTEST_SKIP() << "root may write everywhere, and can not be somebody else";
  if (!root) fs::permissions(folder, fs::perms(0555));
  std::vector<std::string> messages;
  for (const Writer& w : writers()) messages.push_back(error_of([&] { w.write(folder / w.file, false); }));
  const std::string csv = error_of([&] { CsvLog(folder / "new.csv"); }),
                    lines = error_of([&] { JsonLinesLog(folder / "new.jsonl"); }),
                    board = error_of([&] { SummaryWriter(folder.string()); });
  const bool back = !root || seteuid(0) == 0;
  ASSERT_TRUE(back);
  fs::permissions(folder, fs::perms(0755));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    expect_says(messages[i], folder / writers()[i].file);
    expect_says(messages[i], "Permission denied");
  }
  expect_says(csv, folder / "new.csv");
  expect_says(lines, folder / "new.jsonl");
  expect_says(board, folder);
  EXPECT_TRUE(contents(folder) == before);
}

TEST_F(FailingWrites, AFolderThatIsNotThereOrGoes) {
  for (const Writer& w : writers()) {
    const std::string path = folder / "gone" / w.file;
    expect_says(error_of([&] { w.write(path, false); }), path);
  }
  const std::string vocab = folder / "vocab.json", merges = folder / "gone" / "merges.txt";
  expect_says(error_of([&] { save_gpt2_tokenizer(vocab, merges, tokenizer(false)); }), merges);
  EXPECT_TRUE(fs::is_empty(folder)) << "one of two files, or a folder";
  fs::create_directory(folder / "going");
  const std::string path = folder / "going" / "a.csv";
  CsvLog log(path);
  log.row({{"a", 1}});
  io::AtomicFile file(folder / "going" / "b");
  file.write("x", 1);
  fs::remove_all(folder / "going");
  expect_says(error_of([&] { log.row({{"a", 2}}); }), path);
  expect_says(error_of([&] { file.commit(); }), folder / "going" / "b");
}

// Logs grow: what is in them stays, up to the last whole row, and they go on when there is room.
TEST_F(FailingWrites, LogsThatMayNotGrow) {
  const std::string csv = folder / "a.csv", lines = folder / "a.jsonl", long_text(100, 'x');
  CsvLog c(csv);
  JsonLinesLog j(lines);
  SummaryWriter board((folder / "board").string(), {.flush_seconds = 0});
  std::string messages[3];
  int rows[3] = {};
  {
    const SmallFiles limit(20'000);
    const auto fill = [&](int k, const std::function<void()>& one) {
      messages[k] = error_of([&] {
        for (; rows[k] < 10'000; ++rows[k]) one();
      });
    };
    fill(0, [&] { c.row({{"step", rows[0]}, {"note", long_text}}); });
    fill(1, [&] { j.row({{"step", rows[1]}, {"note", long_text}}); });
    fill(2, [&] { board.scalar("loss", rows[2], rows[2]); });
  }
  expect_says(messages[0], csv);
  expect_says(messages[1], lines);
  expect_says(messages[2], board.path());
  for (const std::string& m : messages) expect_says(m, "File too large");
  c.row({{"step", rows[0]}, {"note", long_text}});
  j.row({{"step", rows[1]}, {"note", long_text}});
  board.scalar("loss", 0, 0);
  const auto table = datasets::read_csv(csv);
  EXPECT_EQ(table.rows, static_cast<std::size_t>(rows[0]) + 1);
  std::ifstream file(lines);
  int n = 0;
  for (std::string line; std::getline(file, line); ++n) EXPECT_EQ(nlohmann::json::parse(line).at("step"), n);
  EXPECT_EQ(n, rows[1] + 1);
}

// Records of an event file; a failure when there is anything else. Of a killed writer the last one may be
// cut: the system ends a write between two pages, and TensorBoard passes over such an end.
std::size_t records(const std::string& s, bool killed = false) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < s.size(); ++n) {
    std::uint64_t size = 0;
    if (s.size() - at >= 16) std::memcpy(&size, s.data() + at, 8);
    if (s.size() - at < 16 || size > s.size() - at - 16) {
      EXPECT_TRUE(killed && s.size() % 4096 == 0) << "cut at byte " << at << " of " << s.size();
      return n;
    }
    const std::string record = s.substr(at, size + 16);
    EXPECT_EQ(event_record(record.substr(12, size)), record) << "at byte " << at;
    at += record.size();
  }
  return n;
}

TEST_F(FailingWrites, AKillWhileLogging) {
  std::size_t most = 0;
  for (int round = 0; round < 12; ++round) {
    const std::string csv = folder / "a.csv", lines = folder / "a.jsonl", board = folder / "board";
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      CsvLog c(csv);
      JsonLinesLog j(lines);
      SummaryWriter b(board, {.flush_seconds = 0});
      for (int i = 0;; ++i) {
        c.row({{"round", round}, {"step", i}, {"note", "a, \"b\"\n"}});
        j.row({{"round", round}, {"step", i}});
        b.scalar("loss", i, i);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + 3 * round));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    if (!fs::exists(board)) continue;  // killed before it began
    // Opening the logs again takes away what was cut; every row of every round is there.
    { const CsvLog c(csv); }
    { const JsonLinesLog j(lines); }
    const auto table = datasets::read_csv(csv);
    std::size_t n = 0;
    std::ifstream file(lines);
    for (std::string line; std::getline(file, line); ++n)
      ASSERT_TRUE(nlohmann::json::parse(line).contains("step"));
    EXPECT_GE(table.rows + 1, n);  // of each step it is written first
    for (const auto& e : fs::directory_iterator(board)) EXPECT_GE(records(read(e.path()), true), 1u);
    most = std::max(most, n);
  }
  EXPECT_GT(most, 10u);
}

}  // namespace
