#include "knet/io/download.hpp"

#include "knet/base/text.hpp"

#ifdef KNET_WITH_CURL
#include <curl/curl.h>

#include <memory>
#include <mutex>
#endif

namespace knet::io {

#ifdef KNET_WITH_CURL

namespace {

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

}  // namespace

bool can_download() { return true; }

std::vector<std::byte> download(const std::string& url, std::uint64_t limit) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) fail<IoError>("download: ", url, ": libcurl can not start");
  CURL* c = handle.get();
  Target target{{}, limit};
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT, 900L);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &target);
  const CURLcode r = curl_easy_perform(c);
  if (target.too_long) fail<IoError>("download: ", url, ": more than the ", limit, " bytes expected at most");
  if (r != CURLE_OK) fail<IoError>("download: ", url, ": ", why[0] ? why : curl_easy_strerror(r));
  return std::move(target.bytes);
}

#else

bool can_download() { return false; }

std::vector<std::byte> download(const std::string& url, std::uint64_t) {
  fail<IoError>("download: ", url, ": this library was built without libcurl");
}

#endif

}  // namespace knet::io
