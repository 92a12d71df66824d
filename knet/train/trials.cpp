#include "knet/train/trials.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "knet/base/text.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/random.hpp"

namespace knet::detail {
namespace {
using Clock = std::chrono::steady_clock;
using Function = std::function<double(const Trial&)>;

constexpr std::size_t longest_error = 4000;

double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

// The loss, or what is wrong.
void evaluate(const Function& f, const TrialOptions& o, Trial& t) {
  const RandomKey key{o.seed, static_cast<std::uint64_t>(t.number)};
  std::uint32_t r[4];
  philox::block(key, 0, r);
  seed(std::uint64_t{r[0]} << 32 | r[1]);
  t.loss = std::numeric_limits<double>::quiet_NaN();
  try {
    t.loss = f(t);
    if (std::isnan(t.loss)) t.error = "the loss is NaN";
  } catch (const std::exception& e) {
    t.error = e.what();
    if (t.error.empty()) t.error = "an exception without a message";
  } catch (...) {
    t.error = "an exception of an unknown type";
  }
}

struct Child {
  pid_t pid = -1;
  int pipe = -1;
  Trial* trial = nullptr;
  Clock::time_point start;
  std::string answer;  // the loss's bytes, then the error's
  bool late = false;
};

[[noreturn]] void be_child(const Function& f, const TrialOptions& o, Trial& t, int to) {
  signal(SIGPIPE, SIG_DFL);
  // The threads of the parent's pool are not here, and waiting for them would never end.
  set_threads(1);
  evaluate(f, o, t);
  std::string answer(sizeof t.loss, '\0');
  std::memcpy(answer.data(), &t.loss, sizeof t.loss);
  answer += t.error.substr(0, longest_error);
  for (std::size_t at = 0; at < answer.size();) {
    const auto n = ::write(to, answer.data() + at, answer.size() - at);
    if (n < 0 && errno != EINTR) _exit(1);
    if (n > 0) at += static_cast<std::size_t>(n);
  }
  std::fflush(nullptr);
  _exit(0);  // not exit(): what the parent registered for its end is the parent's
}

Child start(const Function& f, const TrialOptions& o, Trial& t, const std::vector<Child>& others) {
  int ends[2];
  if (pipe(ends) != 0) fail<Error>("search: no pipe: ", std::strerror(errno));
  std::fflush(nullptr);  // or both would write what is waiting
  const pid_t pid = fork();
  if (pid < 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    fail<Error>("search: no process: ", std::strerror(error));
  }
  if (pid == 0) {
    close(ends[0]);
    for (const Child& c : others) close(c.pipe);
    be_child(f, o, t, ends[1]);
  }
  close(ends[1]);
  Child c;
  c.pid = pid;
  c.pipe = ends[0];
  c.trial = &t;
  c.start = Clock::now();
  return c;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The child closed its pipe: what it said, and how it ended.
void finish(Child& c, const TrialOptions& o) {
  close(c.pipe);
  Trial& t = *c.trial;
  const int status = wait_for(c.pid);
  t.seconds = since(c.start);
  t.loss = std::numeric_limits<double>::quiet_NaN();
  if (c.late) {
    t.error = text("took longer than ", o.seconds, " seconds");
  } else if (WIFSIGNALED(status)) {
    const int s = WTERMSIG(status);
    t.error = text("the process was ended by signal ", s, " (", strsignal(s), ")");
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || c.answer.size() < sizeof t.loss) {
    t.error = text("the process ended with status ", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                   c.answer.empty() ? " and no answer" : "");
  } else {
    std::memcpy(&t.loss, c.answer.data(), sizeof t.loss);
    t.error = c.answer.substr(sizeof t.loss);
  }
}

// Reads what there is; false at the end.
bool receive(Child& c) {
  char buffer[4096];
  const auto n = ::read(c.pipe, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n > 0 && c.answer.size() < longest_error + sizeof(double))
    c.answer.append(buffer, static_cast<std::size_t>(n));
  return n > 0;
}

void run_forked(std::vector<Trial>& trials, const Function& f, const TrialOptions& o) {
  std::vector<Child> running;
  struct Guard {  // whatever happens here, no child is left
    std::vector<Child>& all;
    ~Guard() {
      for (Child& c : all) {
        kill(c.pid, SIGKILL);
        close(c.pipe);
        wait_for(c.pid);
      }
    }
  } guard{running};
  std::size_t next = 0;
  while (next < trials.size() || !running.empty()) {
    while (next < trials.size() && running.size() < static_cast<std::size_t>(o.processes))
      running.push_back(start(f, o, trials[next++], running));
    std::vector<pollfd> fds;
    int wait = -1;
    for (Child& c : running) {
      fds.push_back({c.pipe, POLLIN, 0});
      if (o.seconds <= 0) continue;
      const double left = o.seconds - since(c.start);
      if (left <= 0 && !c.late) {
        c.late = true;
        kill(c.pid, SIGKILL);
      }
      const int ms = static_cast<int>(std::clamp(left * 1000, 0.0, 1e8)) + 1;
      wait = wait < 0 ? ms : std::min(wait, ms);
    }
    if (poll(fds.data(), fds.size(), wait) < 0 && errno != EINTR)
      fail<Error>("search: poll: ", std::strerror(errno));
    for (std::size_t i = fds.size(); i-- > 0;) {
      if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0 || receive(running[i])) continue;
      Child c = std::move(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      finish(c, o);
    }
  }
}

}  // namespace

void run_trials(std::vector<Trial>& trials, const Function& f, const TrialOptions& o) {
  if (o.processes < 0 || !(o.seconds >= 0) || (o.seconds > 0 && o.processes == 0)) {
    fail<ValueError>("search: processes ", o.processes, ", seconds ", o.seconds,
                     "; expected no negative numbers, and a limit of seconds only with processes");
  }
  if (o.processes > 0) return run_forked(trials, f, o);
  const RandomKey random = random_state();
  for (Trial& t : trials) {
    const auto begin = Clock::now();
    evaluate(f, o, t);
    t.seconds = since(begin);
  }
  set_random_state(random);
}

}  // namespace knet::detail
