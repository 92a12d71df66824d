// Downloads from a server in this program: whole, cut, changed, damaged, refused.
#include "knet/io/download.hpp"

#include <atomic>
#include <optional>

#include "io_test.hpp"
#include "knet/io/sha256.hpp"
#include "loopback_server.hpp"

using namespace io_test;
using namespace knet;

namespace {

// 100 kB in which no two places look alike.
std::string contents(char salt = 0) {
  std::string s;
  unsigned v = 12345;
  for (int i = 0; i < 100'000; ++i) {
    v = v * 1664525 + 1013904223;
    s += static_cast<char>((v >> 24) ^ static_cast<unsigned char>(salt));
  }
  return s;
}
std::string sum(const std::string& s) { return io::sha256(bytes(s)); }

std::string ok(const std::string& body, const std::string& headers = "ETag: \"1\"\r\n") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
         "Connection: close\r\n\r\n" + body;
}
std::string rest(const std::string& body, std::size_t from, const std::string& headers = "ETag: \"1\"\r\n") {
  return "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(from) + '-' +
         std::to_string(body.size() - 1) + '/' + std::to_string(body.size()) +
         "\r\nContent-Length: " + std::to_string(body.size() - from) + "\r\n" + headers +
         "Connection: close\r\n\r\n" + body.substr(from);
}
// The answer without its last `n` bytes.
std::string cut(std::string s, std::size_t n) { return s.substr(0, s.size() - n); }
std::string status(const std::string& s, const std::string& headers = "") {
  return "HTTP/1.1 " + s + "\r\n" + headers + "Content-Length: 5\r\nConnection: close\r\n\r\nsorry";
}

class Download : public Folder {
 protected:
  Download() {
    if (const char* v = std::getenv("KNET_OFFLINE")) offline_ = v;
    unsetenv("KNET_OFFLINE");
    unsetenv("http_proxy");  // of this process: the server is on loopback
  }
  ~Download() override {
    if (offline_) setenv("KNET_OFFLINE", offline_->c_str(), 1);
  }
  void SetUp() override {
    if (!io::can_download()) GTEST_SKIP() << "built without libcurl";
  }
  io::DownloadOptions options(const std::string& body) const {
    return {.sha256 = sum(body), .pause = 0.01, .http = true, .bar = false};
  }
  std::string target() const { return path("file.bin"); }
  void get(LoopbackServer& s, const std::string& body) {
    io::download_file(s.url + "/file.bin", target(), options(body));
  }
  // The file is whole, and nothing lies beside it.
  void expect_whole(const std::string& body) {
    EXPECT_TRUE(read(target()) == body);
    EXPECT_EQ(files(), 1u);
  }
  const std::string body = contents();

 private:
  std::optional<std::string> offline_;
};

TEST_F(Download, WholeFileOnce) {
  LoopbackServer s([&](const Request&) { return ok(body); });
  std::uint64_t done = 0, total = 0;
  auto o = options(body);
  o.progress = [&](std::uint64_t d, std::uint64_t t) {
    EXPECT_GE(d, done);
    done = d, total = t;
  };
  io::download_file(s.url + "/file.bin", target(), o);
  expect_whole(body);
  EXPECT_EQ(done, body.size());
  EXPECT_EQ(total, body.size());
  get(s, body);  // is there
  EXPECT_EQ(s.requests().size(), 1u);
}

TEST_F(Download, GoesOnWhereItWasCut) {
  LoopbackServer s([&](const Request& r) {
    if (r.number == 0) return cut(ok(body), 60'000);
    if (r.number == 1) return cut(rest(body, r.from()), 20'000);
    return rest(body, r.from());
  });
  get(s, body);
  expect_whole(body);
  const auto r = s.requests();
  ASSERT_EQ(r.size(), 3u);
  EXPECT_EQ(r[0].from(), 0u);
  EXPECT_EQ(r[1].from(), 40'000u);
  EXPECT_EQ(r[2].from(), 80'000u);
  EXPECT_TRUE(r[2].says("If-Range: \"1\""));
}

TEST_F(Download, GoesOnInAnotherCall) {
  const std::string date = "Last-Modified: Tue, 24 Nov 2026 08:00:00 GMT\r\n";
  std::atomic<bool> broken = true;
  LoopbackServer s([&](const Request& r) {
    if (!broken) return rest(body, r.from(), date);
    return r.from() ? std::string() : cut(ok(body, date), 60'000);
  });
  auto o = options(body);
  o.attempts = 2;
  const std::string e = error_of([&] { io::download_file(s.url + "/file.bin", target(), o); });
  EXPECT_TRUE(has(e, "after 2 attempts"));
  EXPECT_TRUE(has(e, s.url));
  EXPECT_FALSE(std::filesystem::exists(target()));
  EXPECT_EQ(std::filesystem::file_size(target() + ".part"), 40'000u);
  broken = false;
  get(s, body);
  expect_whole(body);
  EXPECT_TRUE(s.requests().back().says("If-Range: Tue, 24 Nov 2026"));
}

TEST_F(Download, AnotherAddressStartsAgain) {
  LoopbackServer s(
      [&](const Request& r) { return r.path == "/a" ? cut(ok(contents('x')), 1000) : ok(body); });
  auto o = options(body);
  o.attempts = 1;
  EXPECT_THROW(io::download_file(s.url + "/a", target(), o), IoError);
  io::download_file(s.url + "/b", target(), o);
  expect_whole(body);
  EXPECT_EQ(s.requests()[1].from(), 0u);
}

TEST_F(Download, AServerWithoutRanges) {
  LoopbackServer s([&](const Request& r) { return r.number == 0 ? cut(ok(body), 60'000) : ok(body); });
  get(s, body);
  expect_whole(body);
  EXPECT_EQ(s.requests().size(), 2u);
}

TEST_F(Download, AServerWithoutVersions) {
  LoopbackServer s(
      [&](const Request& r) { return r.number == 0 ? cut(ok(body, ""), 60'000) : ok(body, ""); });
  get(s, body);
  expect_whole(body);
  EXPECT_EQ(s.requests()[1].from(), 0u);
}

TEST_F(Download, AFileThatChangesMeanwhile) {
  const std::string now = contents('n');
  LoopbackServer s(
      [&](const Request& r) { return r.number == 0 ? cut(ok(body), 60'000) : ok(now, "ETag: \"2\"\r\n"); });
  get(s, now);
  expect_whole(now);
}

TEST_F(Download, AFileThatGrows) {
  // A careless server keeps the version while the file grows in front: the joint fails the checksum, and the
  // whole is fetched.
  const std::string now = "more" + body;
  LoopbackServer s([&](const Request& r) {
    if (r.number == 0) return cut(ok(body), 60'000);
    return r.from() ? rest(now, r.from()) : ok(now);
  });
  get(s, now);
  expect_whole(now);
  EXPECT_EQ(s.requests().size(), 3u);
}

TEST_F(Download, AnotherPartThanAskedFor) {
  LoopbackServer s([&](const Request& r) {
    if (r.number == 0) return cut(ok(body), 60'000);
    return r.from() ? rest(body, r.from() - 10) : ok(body);
  });
  get(s, body);
  expect_whole(body);
}

TEST_F(Download, NoSuchPart) {
  LoopbackServer s([&](const Request& r) {
    if (r.number == 0) return cut(ok(body), 60'000);
    return r.from() ? status("416 Range Not Satisfiable") : ok(body);
  });
  get(s, body);
  expect_whole(body);
}

TEST_F(Download, AWrongChecksum) {
  LoopbackServer s([&](const Request&) { return ok(contents('z')); });
  EXPECT_TRUE(has(error_of([&] { get(s, body); }), "expected " + sum(body)));
  EXPECT_EQ(s.requests().size(), 1u);
  EXPECT_EQ(files(), 0u);
  // An older file stays as it was.
  write(target(), std::string("old"));
  EXPECT_THROW(get(s, body), IoError);
  EXPECT_EQ(read(target()), "old");
}

TEST_F(Download, Redirects) {
  LoopbackServer s([&](const Request& r) {
    if (r.path == "/file.bin") return status("302 Found", "Location: /there\r\nETag: \"other\"\r\n");
    if (r.path == "/there") return ok(body);
    return status("302 Found", "Location: /round\r\n");
  });
  get(s, body);
  expect_whole(body);
  EXPECT_TRUE(
      has(error_of([&] { io::download_file(s.url + "/round", path("x"), options(body)); }), "redirect"));
  EXPECT_EQ(files(), 1u);
}

TEST_F(Download, ARedirectToAFile) {
  write(path("secret"), body);
  LoopbackServer s(
      [&](const Request&) { return status("302 Found", "Location: file://" + path("secret") + "\r\n"); });
  EXPECT_THROW(get(s, body), IoError);
  EXPECT_FALSE(std::filesystem::exists(target()));
}

TEST_F(Download, StatusCodes) {
  LoopbackServer s([&](const Request& r) {
    return r.path == "/busy" && r.number > 1 ? ok(body)
                                             : status(r.path == "/busy" ? "503 Busy" : "404 Not Found");
  });
  EXPECT_TRUE(has(error_of([&] { get(s, body); }), "404 (not found)"));
  EXPECT_EQ(s.requests().size(), 1u);
  EXPECT_EQ(files(), 0u);
  io::download_file(s.url + "/busy", target(), options(body));
  EXPECT_EQ(s.requests().size(), 3u);
  expect_whole(body);
}

TEST_F(Download, TooLong) {
  LoopbackServer s([&](const Request& r) {
    return r.path == "/unknown" ? "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body : ok(body);
  });
  auto o = options(body);
  o.limit = 50'000;
  EXPECT_TRUE(has(error_of([&] { io::download_file(s.url + "/file.bin", target(), o); }), "at most 50000"));
  EXPECT_TRUE(has(error_of([&] { io::download_file(s.url + "/unknown", target(), o); }), "50000 bytes"));
  EXPECT_EQ(files(), 0u);
  o.limit = body.size();
  io::download_file(s.url + "/unknown", target(), o);
  EXPECT_TRUE(read(target()) == body);
}

TEST_F(Download, AnEmptyFile) {
  LoopbackServer s([&](const Request&) { return ok(""); });
  get(s, "");
  expect_whole("");
}

TEST_F(Download, SilenceAndNobody) {
  std::string nobody;
  {
    LoopbackServer s([](const Request&) { return std::string(); });
    auto o = options(body);
    o.attempts = 3;
    EXPECT_TRUE(
        has(error_of([&] { io::download_file(s.url + "/file.bin", target(), o); }), "after 3 attempts"));
    EXPECT_EQ(s.requests().size(), 3u);
    nobody = s.url;
  }
  auto o = options(body);
  o.attempts = 1;
  EXPECT_TRUE(has(error_of([&] { io::download_file(nobody + "/file.bin", target(), o); }), "onnect"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Download, Offline) {
  setenv("KNET_OFFLINE", "1", 1);
  EXPECT_TRUE(io::offline());
  EXPECT_TRUE(has(error_of([&] { io::download_file("https://127.0.0.1:1/file.bin", target(), {}); }),
                  "KNET_OFFLINE"));
  EXPECT_TRUE(has(error_of([&] { io::download("https://127.0.0.1:1/file.bin", 1); }), "KNET_OFFLINE"));
  write(target(), body);
  io::download_file("https://127.0.0.1:1/file.bin", target(), options(body));  // is there
  unsetenv("KNET_OFFLINE");
}

TEST_F(Download, PlainHttpAndBadSums) {
  EXPECT_THROW(io::download_file("http://127.0.0.1:1/a", target(), {.http = true}), ValueError);
  EXPECT_THROW(io::download_file("https://127.0.0.1:1/a", target(), {.sha256 = "12"}), ValueError);
  EXPECT_TRUE(has(error_of([&] { io::download_file("http://127.0.0.1:1/a", target(), {}); }), "rotocol"));
  EXPECT_TRUE(has(error_of([&] { io::download_file("file:///etc/passwd", target(), {}); }), "rotocol"));
  EXPECT_TRUE(
      has(error_of([&] { io::download_file("https://127.0.0.1:1/a", path("no/a"), {}); }), "No such"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Download, TwoWantTheSame) {
  LoopbackServer s([&](const Request&) { return ok(body); });
  std::thread other([&] { get(s, body); });
  get(s, body);
  other.join();
  expect_whole(body);
  EXPECT_EQ(s.requests().size(), 1u);
}

// The cache in this test's folder.
struct CacheHere {
  explicit CacheHere(const std::string& to) {
    if (const char* v = std::getenv("XDG_CACHE_HOME")) before = v;
    setenv("XDG_CACHE_HOME", to.c_str(), 1);
  }
  ~CacheHere() {
    if (before)
      setenv("XDG_CACHE_HOME", before->c_str(), 1);
    else
      unsetenv("XDG_CACHE_HOME");
  }
  std::optional<std::string> before;
};

TEST_F(Download, Cache) {
  const CacheHere here(path("cache"));
  EXPECT_EQ(io::cache_folder("things"), path("cache/knetlayers/things"));
  LoopbackServer s([&](const Request&) { return ok(body); });
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(io::download_cached(s.url + "/a/file.bin?x=/1", "things", options(body)),
              path("cache/knetlayers/things/file.bin"));
  EXPECT_EQ(s.requests().size(), 1u);
  EXPECT_TRUE(read(path("cache/knetlayers/things/file.bin")) == body);
  EXPECT_THROW(io::download_cached(s.url + "/", "things", options(body)), ValueError);
  EXPECT_THROW(io::download_cached(s.url + "/..", "things", options(body)), ValueError);
}

TEST_F(Download, Unpacked) {
  const CacheHere here(path("cache"));
  const std::string archive = read(test_data("files/deflated.npz"));
  LoopbackServer s([&](const Request&) { return ok(archive); });
  for (int i = 0; i < 2; ++i) {
    const auto folder = io::download_unpacked(s.url + "/a/set.zip", "things", options(archive));
    EXPECT_EQ(folder, path("cache/knetlayers/things/set"));
    EXPECT_FALSE(std::filesystem::is_empty(folder));
  }
  EXPECT_EQ(s.requests().size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(path("cache/knetlayers/things/set.zip")));
  EXPECT_THROW(io::download_unpacked(s.url + "/a/set.rar", "things", options(archive)), ValueError);
  // What can not be unpacked leaves no folder that looks whole.
  const std::string damaged = archive.substr(0, archive.size() / 2);
  LoopbackServer bad([&](const Request&) { return ok(damaged); });
  EXPECT_THROW(io::download_unpacked(bad.url + "/bad.zip", "things", options(damaged)), IoError);
  EXPECT_FALSE(std::filesystem::exists(path("cache/knetlayers/things/bad")));
}

}  // namespace
