// An HTTP server on 127.0.0.1 for tests, one connection after the other, answering as the test says.
#pragma once
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace io_test {

struct Request {
  std::string path;
  std::string text;  // the whole head, as it came
  int number = 0;    // counted from 0
  /// The first byte asked for, or 0.
  std::size_t from() const {
    const auto at = text.find("Range: bytes=");
    return at == std::string::npos ? 0 : std::stoul(text.substr(at + 13));
  }
  bool says(std::string_view part) const { return text.find(part) != std::string::npos; }
};

class LoopbackServer {
 public:
  /// What is sent back, as it is; the connection is closed after it.
  using Answer = std::function<std::string(const Request&)>;

  explicit LoopbackServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    bind(listener_, reinterpret_cast<sockaddr*>(&a), n);
    listen(listener_, 16);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &n);
    url = "http://127.0.0.1:" + std::to_string(ntohs(a.sin_port));
    if (pipe(stop_) != 0) return;
    thread_ = std::thread([this] { run(); });
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;
  ~LoopbackServer() {
    close(stop_[1]);
    if (thread_.joinable()) thread_.join();
    close(stop_[0]);
    close(listener_);
  }
  std::vector<Request> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string url;

 private:
  // Waits for the socket or the end; false at the end, and after ten seconds.
  bool ready(int fd) const {
    pollfd p[2] = {{fd, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    return poll(p, 2, fd == listener_ ? -1 : 10'000) > 0 && p[1].revents == 0;
  }
  void run() {
    while (ready(listener_)) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      Request r;
      char buffer[4096];
      while (r.text.find("\r\n\r\n") == std::string::npos && ready(fd)) {
        const auto n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) break;
        r.text.append(buffer, static_cast<std::size_t>(n));
      }
      if (const auto space = r.text.find(' '); space != std::string::npos)
        r.path = r.text.substr(space + 1, r.text.find(' ', space + 1) - space - 1);
      {
        std::lock_guard lock(mutex_);
        r.number = static_cast<int>(requests_.size());
        requests_.push_back(r);
      }
      std::string_view s;
      const std::string answer = answer_(r);
      for (s = answer; !s.empty();) {
        const auto n = send(fd, s.data(), s.size(), MSG_NOSIGNAL);
        if (n <= 0) break;
        s.remove_prefix(static_cast<std::size_t>(n));
      }
      shutdown(fd, SHUT_WR);
      while (ready(fd) && recv(fd, buffer, sizeof buffer, 0) > 0) {
      }
      close(fd);
    }
  }

  Answer answer_;
  int listener_ = -1, stop_[2] = {-1, -1};
  std::thread thread_;
  std::mutex mutex_;
  std::vector<Request> requests_;
};

}  // namespace io_test
