// A download goes to path.part; path.part.info says of which address and which version of the file (ETag or
// date) it is a part. A later attempt asks for the rest of that version (Range, If-Range); a server that has
// another one, or knows no ranges, sends the whole file and the part starts again.
#include "knet/io/download.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/gzip.hpp"
#include "knet/io/input_file.hpp"
#include "knet/io/sha256.hpp"

#ifdef KNET_WITH_CURL
#include <curl/curl.h>

#include <memory>
#include <mutex>
#include <thread>
#endif

namespace knet::io {
namespace {

std::string variable(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

std::string sha256_of(const std::string& path) {
  InputFile f("download", path);
  Sha256 sum;
  std::vector<std::byte> buffer(1 << 18);
  while (const std::size_t n = f.read(buffer.data(), buffer.size())) sum.update({buffer.data(), n});
  return sum.finish();
}

}  // namespace

bool offline() { return !variable("KNET_OFFLINE").empty(); }

std::string cache_folder(const std::string& name) {
  std::string base = variable("XDG_CACHE_HOME");
  if (base.empty() || base[0] != '/') {  // the specification: relative ones are ignored
    const std::string home = variable("HOME");
    if (home.empty()) return "";
    base = home + "/.cache";
  }
  return text(base, "/knetlayers/", name);
}

std::string download_cached(const std::string& url, const std::string& name, const DownloadOptions& o) {
  const std::string folder = cache_folder(name);
  if (folder.empty()) fail<IoError>("download: ", url, ": no cache: neither XDG_CACHE_HOME nor HOME is set");
  const std::string address = url.substr(0, url.find_first_of("?#"));
  const std::string file = address.substr(address.rfind('/') + 1);
  if (file.empty() || file[0] == '.') fail<ValueError>("download: ", url, ": the address names no file");
  const std::string path = text(folder, '/', file);
  if (o.sha256.empty() && access(path.c_str(), F_OK) == 0) return path;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail<IoError>("download: ", folder, ": ", error.message());
  download_file(url, path, o);
  return path;
}

std::string download_unpacked(const std::string& url, const std::string& name, const DownloadOptions& o,
                              const UnpackOptions& limits) {
  namespace fs = std::filesystem;
  std::string stem = url.substr(0, url.find_first_of("?#"));
  stem = stem.substr(stem.rfind('/') + 1);
  for (const std::string_view ending : {".zip", ".tgz", ".tar.gz", ".tar"}) {
    if (!stem.ends_with(ending)) continue;
    stem.resize(stem.size() - ending.size());
    const std::string folder = text(cache_folder(name), '/', stem), aside = folder + ".unpacking";
    std::error_code error;
    if (!stem.empty() && fs::is_directory(folder, error)) return folder;
    const std::string archive = download_cached(url, name, o);
    unpack(archive, aside, limits);
    fs::rename(aside, folder, error);
    // Somebody else may have been quicker.
    if (error && !fs::is_directory(folder)) fail<IoError>("download: ", folder, ": ", error.message());
    fs::remove(archive, error);
    return folder;
  }
  fail<ValueError>("download: ", url, ": no archive by its name (expected .zip, .tar, .tar.gz or .tgz)");
}

#ifdef KNET_WITH_CURL

namespace {

using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;

Handle open_handle(const std::string& url, const char* protocols, char* why) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Handle handle(curl_easy_init(), curl_easy_cleanup);
  CURL* c = handle.get();
  if (!c) fail<IoError>("download: ", url, ": libcurl can not start");
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
  return handle;
}

struct Target {
  std::vector<std::byte> bytes;
  std::uint64_t limit;
  bool too_long = false;
};

// Called from C: nothing may be thrown through it. Returning less than it was given ends the transfer.
std::size_t receive(char* from, std::size_t, std::size_t n, void* to) noexcept {
  auto& t = *static_cast<Target*>(to);
  t.too_long = n > t.limit - t.bytes.size();
  if (t.too_long) return 0;
  try {
    const auto* p = reinterpret_cast<const std::byte*>(from);
    t.bytes.insert(t.bytes.end(), p, p + n);
  } catch (...) {
    return 0;
  }
  return n;
}

void refuse_offline(const std::string& url) {
  if (offline()) fail<IoError>("download: ", url, ": KNET_OFFLINE is set");
}

}  // namespace

bool can_download() { return true; }

std::vector<std::byte> download(const std::string& url, std::uint64_t limit) {
  refuse_offline(url);
  char why[CURL_ERROR_SIZE] = "";
  const Handle handle = open_handle(url, "https", why);
  CURL* c = handle.get();
  Target target{{}, limit};
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT, 900L);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &target);
  const CURLcode r = curl_easy_perform(c);
  if (target.too_long) fail<IoError>("download: ", url, ": more than the ", limit, " bytes expected at most");
  if (r != CURLE_OK) fail<IoError>("download: ", url, ": ", why[0] ? why : curl_easy_strerror(r));
  return std::move(target.bytes);
}

namespace {

// The part of one file, locked while it grows.
class Part {
 public:
  Part(std::string url, const std::string& path, const DownloadOptions& o)
      : url_(std::move(url)), path_(path), part_(path + ".part"), info_(part_ + ".info"), o_(o) {
    for (;;) {
      fd_ = open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
      if (fd_ < 0) failed("can not be written");
      while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
      }
      // Whoever held the lock may have finished the file and taken its name away.
      struct stat mine {
      }, named{};
      if (fstat(fd_, &mine) == 0 && stat(part_.c_str(), &named) == 0 && mine.st_ino == named.st_ino) {
        size_ = static_cast<std::uint64_t>(mine.st_size);
        break;
      }
      close(fd_);
    }
    read_info();
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() {
    if (size_ == 0) remove();
    close(fd_);
  }

  /// One connection. "" when the file is whole; else why not. `again`: another attempt may help.
  std::string attempt(bool& again);
  bool resumed() const { return resumed_; }
  void restart() {
    if (ftruncate(fd_, 0) != 0) failed("can not be shortened");
    size_ = 0, version_.clear();
    unlink(info_.c_str());
  }
  void finish() {
    if (fsync(fd_) != 0) failed("flushing to the disk failed");
    if (rename(part_.c_str(), path_.c_str()) != 0) failed("renaming failed");
    unlink(info_.c_str());
    size_ = 1;  // nothing to remove
  }
  void remove() {
    unlink(part_.c_str());
    unlink(info_.c_str());
  }
  const std::string& part() const { return part_; }

 private:
  [[noreturn]] void failed(const char* what) const {
    const int error = errno;
    fail<IoError>("download: ", url_, ": ", part_, ": ", what, ": ", std::strerror(error));
  }
  // Two lines: the address and the version.
  void read_info() {
    std::string s;
    try {
      const auto bytes = read_file(info_, 1 << 16);
      s.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    } catch (const IoError&) {
    }
    const auto line = s.find('\n');
    if (line != std::string::npos && s.substr(0, line) == url_) version_ = s.substr(line + 1);
    if (version_.empty() && size_ > 0) restart();
  }
  void header(std::string_view line);
  bool body(const char* from, std::size_t n);
  bool start_body();
  void show(bool last = false);

  std::string url_, path_, part_, info_;
  const DownloadOptions& o_;
  int fd_ = -1;
  std::uint64_t size_ = 0, total_ = 0;
  std::string version_;  // of what is in the part: a strong ETag or a date

  // Of the response that is coming in.
  CURL* curl_ = nullptr;
  bool started_ = false, resumed_ = false, shown_ = false;
  std::string etag_, date_, range_, problem_;
  std::chrono::steady_clock::time_point last_shown_{};

  friend struct PartCalls;
};

// What libcurl calls: nothing may be thrown through C.
struct PartCalls {
  static std::size_t header(char* from, std::size_t, std::size_t n, void* to) noexcept {
    try {
      static_cast<Part*>(to)->header({from, n});
    } catch (...) {
      return 0;
    }
    return n;
  }
  static std::size_t body(char* from, std::size_t, std::size_t n, void* to) noexcept {
    try {
      return static_cast<Part*>(to)->body(from, n) ? n : 0;
    } catch (...) {
      return 0;
    }
  }
};

void Part::header(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // of the next response, after a redirection
    etag_.clear(), date_.clear(), range_.clear();
    return;
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon)), value(line.substr(colon + 1));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  value.erase(0, value.find_first_not_of(" \t"));
  if (name == "etag" && !value.starts_with("W/")) etag_ = value;
  if (name == "last-modified") date_ = value;
  if (name == "content-range") range_ = value;
}

// Decides what the bytes that follow are: the rest, or the whole file.
bool Part::start_body() {
  started_ = true;
  long status = 0;
  curl_off_t length = -1;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  const std::string version = !etag_.empty() ? etag_ : date_;
  if (status == 206) {
    unsigned long long first = 0, last = 0, all = 0;
    if (std::sscanf(range_.c_str(), "bytes %llu-%llu/%llu", &first, &last, &all) != 3 || first != size_ ||
        last + 1 != all || (!version.empty() && version != version_)) {
      problem_ = text("the server sent another part than was asked for: ", range_);
      restart();
      return false;
    }
    resumed_ = true;
    total_ = all;
  } else if (status == 200) {
    restart();
    version_ = version;
    total_ = length > 0 ? static_cast<std::uint64_t>(length) : 0;
    if (!version_.empty()) {
      const std::string s = text(url_, '\n', version_);
      write_file(info_, std::as_bytes(std::span(s)));
    }
  } else {
    return false;  // the body of an error
  }
  if (total_ > o_.limit) {
    problem_ = text("has ", total_, " bytes (expected at most ", o_.limit, ')');
    return false;
  }
  return true;
}

bool Part::body(const char* from, std::size_t n) {
  if (!started_ && !start_body()) return false;
  if (n > o_.limit - std::min(size_, o_.limit)) {
    problem_ = text("more than the ", o_.limit, " bytes expected at most");
    restart();
    return false;
  }
  while (n > 0) {
    const auto k = pwrite(fd_, from, n, static_cast<off_t>(size_));
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) {
      problem_ = text(part_, ": writing failed: ", std::strerror(k < 0 ? errno : ENOSPC));
      return false;
    }
    from += k, n -= static_cast<std::size_t>(k), size_ += static_cast<std::uint64_t>(k);
  }
  show();
  return true;
}

void Part::show(bool last) {
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - last_shown_ < std::chrono::milliseconds(100)) return;
  last_shown_ = now;
  if (o_.progress) o_.progress(size_, total_);
  if (!o_.bar || !isatty(STDERR_FILENO) || !variable("KNET_QUIET").empty()) return;
  curl_off_t speed = 0;
  curl_easy_getinfo(curl_, CURLINFO_SPEED_DOWNLOAD_T, &speed);
  const double mega = 1e6, done = static_cast<double>(size_), all = static_cast<double>(total_);
  std::string bar = std::string(30, ' ');
  if (total_)
    std::fill_n(bar.begin(), std::min<std::size_t>(30, static_cast<std::size_t>(30 * done / all)), '=');
  std::fprintf(stderr, "\r%.24s [%s] %.1f", path_.substr(path_.rfind('/') + 1).c_str(), bar.c_str(),
               done / mega);
  if (total_) std::fprintf(stderr, " of %.1f", all / mega);
  std::fprintf(stderr, " MB, %.1f MB/s  ", static_cast<double>(speed) / mega);
  shown_ = true;
}

std::string Part::attempt(bool& again) {
  again = false;
  char why[CURL_ERROR_SIZE] = "";
  const Handle handle = open_handle(url_, o_.http && !o_.sha256.empty() ? "https,http" : "https", why);
  curl_ = handle.get();
  started_ = resumed_ = false;
  problem_.clear();
  if (version_.empty() && size_ > 0) restart();  // nobody can say that the rest would fit
  const std::uint64_t asked_from = size_;
  curl_slist* headers = nullptr;
  if (size_ > 0) {
    curl_easy_setopt(curl_, CURLOPT_RANGE, text(size_, '-').c_str());
    headers = curl_slist_append(nullptr, text("If-Range: ", version_).c_str());
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> freed(headers, curl_slist_free_all);
  curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(o_.stall)));
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, PartCalls::header);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, PartCalls::body);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
  const CURLcode r = curl_easy_perform(curl_);
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  if (r == CURLE_OK && !started_ && status == 200) start_body();  // an empty file
  show(true);
  if (shown_) std::fputc('\n', stderr);
  shown_ = false;
  if (!problem_.empty()) {
    again = status == 206 && size_ == 0;
    return problem_;
  }
  if (status == 416 && asked_from > 0) {  // the file is shorter now, or the part is all of it
    restart();
    again = true;
    return "the server has no such part";
  }
  if (status >= 400) {
    again = status >= 500 || status == 408 || status == 429;
    return text("HTTP status ", status, status == 404 ? " (not found)" : "");
  }
  if (r == CURLE_OK && (status == 200 || status == 206)) return "";
  again = r == CURLE_PARTIAL_FILE || r == CURLE_RECV_ERROR || r == CURLE_GOT_NOTHING ||
          r == CURLE_OPERATION_TIMEDOUT || r == CURLE_COULDNT_CONNECT || r == CURLE_COULDNT_RESOLVE_HOST ||
          r == CURLE_SEND_ERROR || r == CURLE_HTTP2 || r == CURLE_HTTP2_STREAM;
  if (r == CURLE_OK) return text("HTTP status ", status);
  return why[0] ? why : curl_easy_strerror(r);
}

std::string lower(std::string s) {
  for (char& c : s) c = c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c;
  return s;
}

}  // namespace

void download_file(const std::string& url, const std::string& path, const DownloadOptions& o) {
  const std::string expected = lower(o.sha256);
  if (!expected.empty() && (expected.size() != 64 || expected.find_first_not_of("0123456789abcdef") < 64))
    fail<ValueError>("download: sha256 = ", o.sha256, " (expected 64 hexadecimal digits)");
  if (o.http && expected.empty()) fail<ValueError>("download: plain http needs a checksum (.sha256)");
  const auto there = [&] {
    return !expected.empty() && access(path.c_str(), F_OK) == 0 && sha256_of(path) == expected;
  };
  if (there()) return;
  refuse_offline(url);
  Part part(url, path, o);
  if (there()) return;  // by whom we waited for
  double pause = o.pause;
  for (int i = 1;; ++i) {
    bool again = false;
    std::string problem = part.attempt(again);
    if (problem.empty()) {
      const std::string sum = expected.empty() ? expected : sha256_of(part.part());
      if (sum == expected) break;
      again = part.resumed();  // the beginning may be another file's
      problem = text("SHA-256 is ", sum, " (expected ", expected, ')');
      part.restart();
    }
    if (!again || i >= o.attempts)
      fail<IoError>("download: ", url, ": ", problem, i > 1 ? text(" (after ", i, " attempts)") : "");
    std::this_thread::sleep_for(std::chrono::duration<double>(pause));
    pause *= 2;
  }
  part.finish();
}

#else

bool can_download() { return false; }

std::vector<std::byte> download(const std::string& url, std::uint64_t) {
  fail<IoError>("download: ", url, ": this library was built without libcurl");
}

void download_file(const std::string& url, const std::string& path, const DownloadOptions& o) {
  if (!o.sha256.empty() && access(path.c_str(), F_OK) == 0 && sha256_of(path) == o.sha256) return;
  fail<IoError>("download: ", url, ": this library was built without libcurl");
}

#endif

}  // namespace knet::io
