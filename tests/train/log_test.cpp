// Logs and event files: numbers that read back, escapes, going on after a cut, and records by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "knet/knet.hpp"
#include "knet/train/event_file.hpp"

namespace {
using namespace knet;
namespace fs = std::filesystem;

class Logs : public testing::Test {
 protected:
  Logs() : folder(fs::temp_directory_path() / ("knet_log_test_" + std::to_string(::getpid()))) {
    fs::create_directories(folder);
  }
  ~Logs() override { fs::remove_all(folder); }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  static std::string read(const std::string& file) {
    std::ostringstream s;
    s << std::ifstream(file, std::ios::binary).rdbuf();
    return s.str();
  }
  static void write(const std::string& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
  }
  fs::path folder;
};

TEST_F(Logs, CsvColumnsEscapesAndNumbers) {
  const std::string file = path("log.csv");
  {
    CsvLog log(file);
    log.row({{"epoch", 1}, {"a,b", 0.1}, {"note", "said \"no\",\nand left"}});
    log.row({{"note", true}, {"epoch", std::int64_t{1} << 62}});
    log.row({{"a,b", std::numeric_limits<double>::quiet_NaN()}, {"note", " "}});
    log.row({{"a,b", 0.1f}});
    EXPECT_THROW(log.row({{"lost", 1}}), ValueError);
    EXPECT_THROW(log.row({{"epoch", 1}, {"epoch", 2}}), ValueError);
    EXPECT_THROW(log.row({}), ValueError);
  }
  EXPECT_EQ(
      read(file),
      "epoch,\"a,b\",note\n1,0.1,\"said \"\"no\"\",\nand left\"\n4611686018427387904,,true\n,nan,\" \"\n"
      ",0.1,\n");
}
TEST_F(Logs, NumbersReadBackAsTheSameOnes) {
  seed(3);
  const std::string file = path("log.csv"), lines = path("log.jsonl");
  std::vector<double> values{1e-310,  -0.0,        1e300,
                             1.0 / 3, 123456789.0, -std::numeric_limits<double>::infinity()};
  for (const double v : randn({200}, f64).to_vector<double>()) values.push_back(v * std::pow(10, 40 * v));
  {
    CsvLog log(file);
    JsonLinesLog json(lines);
    for (const double v : values) log.row({{"v", v}}), json.row({{"v", v}});
  }
  std::ifstream csv(file), jsonl(lines);
  std::string line;
  std::getline(csv, line);
  for (const double v : values) {
    std::getline(csv, line);
    const double got = std::strtod(line.c_str(), nullptr);
    EXPECT_EQ(std::memcmp(&got, &v, sizeof v), 0) << line;
    std::getline(jsonl, line);
    const auto j = nlohmann::json::parse(line).at("v");
    EXPECT_EQ(j.is_string() ? std::strtod(j.get<std::string>().c_str(), nullptr) : j.get<double>(), v)
        << line;
  }
}
TEST_F(Logs, GoesOnAfterACut) {
  const std::string file = path("log.csv");
  CsvLog(file).row({{"epoch", 1}, {"text", "a\nb"}});
  const std::string whole = read(file);
  for (const std::string rest : {"", "2", "2,\"half", "2,\"half\n", "2,\"half\"\"\n"}) {
    write(file, whole + rest);
    CsvLog log(file);
    EXPECT_EQ(log.columns(), (std::vector<std::string>{"epoch", "text"}));
    log.row({{"text", "x"}, {"epoch", 2}});
    EXPECT_EQ(read(file), whole + "2,x\n") << rest;
  }
  write(file, "epo");
  CsvLog(file).row({{"new", 1}});
  EXPECT_EQ(read(file), "new\n1\n");
  CsvLog(file, {.append = false}).row({{"other", 1}});
  EXPECT_EQ(read(file), "other\n1\n");
  write(file, "a,a\n1,2\n");
  EXPECT_THROW(CsvLog{file}, IoError);
  EXPECT_THROW(CsvLog{path("no/log.csv")}, IoError);
  write(file, "{\"a\": 1}\n{\"a\": ");
  JsonLinesLog(file).row({{"a", 2}});
  EXPECT_EQ(read(file), "{\"a\": 1}\n{\"a\": 2}\n");
}
TEST_F(Logs, JsonEscapes) {
  const std::string file = path("log.jsonl");
  JsonLinesLog log(file);
  log.row({{"a\"b\n", "\x01 \xff \u00e9"}, {"t", false}, {"n", -7}, {"nan", std::nan("")}});
  EXPECT_THROW(log.row({{"a", 1}, {"a", 1}}), ValueError);
  const auto j = nlohmann::json::parse(read(file));
  EXPECT_EQ(j.at("a\"b\n"), "\x01 \ufffd \u00e9");
  EXPECT_EQ(j.at("t"), false);
  EXPECT_EQ(j.at("n"), -7);
  EXPECT_EQ(j.at("nan"), "nan");
}
TEST_F(Logs, FromTrainCallbacks) {
  MLP model{.sizes = {2, 2}};
  CsvLog log(path("epochs.csv"));
  train(model, minibatch(randn({20, 2}), randint(0, 2, {20}), 5),
        {.epochs = 3, .progress = false, .on_epoch = [&](const Epoch& e) {
           log.row({{"epoch", e.number}, {"loss", e.loss}});
           return true;
         }});
  const std::string all = read(path("epochs.csv"));
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 4) << all;
}

// RFC 3720, B.4
TEST(EventFile, Checksum) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
}
TEST(EventFile, MessagesByHand) {
  EXPECT_EQ(Message().integer(1, 150).text(), "\x08\x96\x01");
  EXPECT_EQ(Message().integer(2, -1).text(), std::string("\x10") + std::string(9, '\xff') + "\x01");
  EXPECT_EQ(Message().bytes(2, "testing").text(), "\x12\x07testing");
  EXPECT_EQ(Message().single(16, 1.0f).text(), std::string("\x85\x01\x00\x00\x80\x3f", 6));
  EXPECT_EQ(Message().message(3, Message().integer(1, 150)).text(), "\x1a\x03\x08\x96\x01");
}

/// The whole records of an event file, checksums checked.
std::vector<std::string> records(const std::string& s) {
  std::vector<std::string> r;
  for (std::size_t at = 0; at + 12 <= s.size();) {
    std::size_t n = 0;
    for (int i = 7; i >= 0; --i) n = n << 8 | static_cast<unsigned char>(s[at + static_cast<std::size_t>(i)]);
    if (at + 16 + n > s.size()) break;
    r.push_back(s.substr(at + 12, n));
    EXPECT_EQ(s.substr(at, 16 + n), event_record(r.back()));
    at += 16 + n;
  }
  return r;
}
TEST_F(Logs, EventFilesFlushAndSurviveBeingMoved) {
  SummaryWriter board(path("runs/a"), {.flush_seconds = 0});
  EXPECT_EQ(records(read(board.path())).size(), 1u);
  board.scalar("loss", 0.5, 1);
  board.text("note", "hello", 1);
  EXPECT_EQ(records(read(board.path())).size(), 3u);
  SummaryWriter lazy(path("runs/a"), {.flush_seconds = 1e9});
  EXPECT_NE(lazy.path(), board.path());
  lazy.scalar("loss", 0.5, 2);
  EXPECT_EQ(records(read(lazy.path())).size(), 1u);
  SummaryWriter moved = std::move(lazy);
  moved.flush();
  EXPECT_EQ(records(read(moved.path())).size(), 2u);
  EXPECT_THROW(board.image("x", zeros({3}), 1), ShapeError);
  EXPECT_THROW(board.histogram("x", Tensor(), 1), ValueError);
  write(path("file"), "");
  EXPECT_THROW(SummaryWriter{path("file/runs")}, IoError);
}
// Writes what tests/reference/tensorboard_check.py reads with TensorBoard itself, when it asks for it.
TEST_F(Logs, EveryKindForTensorBoard) {
  const char* wish = std::getenv("KNET_TENSORBOARD_DIR");
  SummaryWriter board(wish ? wish : path("runs/b"));
  seed(1);
  for (int i = 0; i < 10; ++i) {
    board.scalar("train/loss", 1.0 / (i + 1), i);
    board.histogram("weights", arange(0, 1001).to(f32) * 0.001 * (i + 1), i);
  }
  board.histogram("constant", full({7}, 3.0), 0);
  board.histogram("odd", Tensor({1.0, std::nan(""), HUGE_VAL, 3.0}), 0);
  if (io::can_save_png()) {
    board.image("grey", arange(0, 12).to(f32).reshape({3, 4}) * (1.0 / 11), 3);
    board.image("colours", rand({3, 5, 6}), 4);
  }
  board.text("note", "**bold** \u00e9", 5);
  board.hyperparameters({{"lr", 0.5}, {"hidden", 100}, {"name", "first"}, {"dropout", true}});
  auto model = Chain{Conv{.height = 3, .width = 3, .inout = {1, 4}, .activation = relu}, Pool{}, mat,
                     Dense{.input = 36, .output = 8, .activation = relu}, Linear{.input = 8, .output = 2}};
  board.graph(model, zeros({2, 1, 8, 8}));
  board.flush();
  // version, ten scalars and histograms, two more, two images, a text, hyper-parameters, the graph
  EXPECT_EQ(records(read(board.path())).size(), 1u + 20 + 2 + (io::can_save_png() ? 2 : 0) + 3);
}

}  // namespace
