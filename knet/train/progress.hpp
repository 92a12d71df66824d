// progress(range): passes values on and draws a bar on stderr: percent, done of total, time, speed, and a
// message. Where stderr is not a terminal, plain lines, seldom.
#pragma once
#include <cstddef>
#include <cstdio>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "knet/data/ranges.hpp"

namespace knet {

/// What the message function is told.
struct ProgressInfo {
  double value = 0;    ///< the current element
  double average = 0;  ///< running average of the elements
  std::ptrdiff_t done = 0;
  std::ptrdiff_t total = -1;  ///< -1: unknown
};
struct ProgressOptions {
  std::ptrdiff_t steps = 0;  ///< redraw every so many elements
  double seconds = 0;        ///< redraw after so many seconds; 1 when neither is given
  /// Text at the end of the line; by default the running average. Returning "stop" ends the iteration.
  std::function<std::string(const ProgressInfo&)> message = {};
  std::FILE* out = nullptr;  ///< stderr when null
};

/// The compiled half of progress(). KNET_QUIET in the environment silences it.
class Meter {
 public:
  Meter(std::ptrdiff_t total, ProgressOptions o);
  /// Another element came; false when the message function asked to stop.
  bool tick(double value);
  void done();

 private:
  void draw(const std::string& message, bool last);
  ProgressInfo info_;
  ProgressOptions o_;
  double start_, last_time_;
  std::ptrdiff_t last_done_ = 0;
  bool terminal_, quiet_;
};

template <class R>
class Progress {
 public:
  Progress(R&& r, ProgressOptions o) : r_(std::forward<R>(r)), o_(std::move(o)) {}
  class iterator {
   public:
    using value_type = std::remove_cvref_t<element_t<R>>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(Progress* p) : p_(p) {
      p->meter_.emplace(size_hint(p->r_), p->o_);
      i_.emplace(p->r_.begin());
      show();
    }
    decltype(auto) operator*() const { return **i_; }
    iterator& operator++() {
      if (stop_) {
        finish();
        return *this;
      }
      ++*i_;
      show();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.p_ == nullptr; }

   private:
    void finish() {
      p_->meter_->done();
      p_ = nullptr;
    }
    void show() {
      if (*i_ == p_->r_.end()) return finish();
      double v = 0;
      if constexpr (std::is_convertible_v<decltype(**i_), double>) v = static_cast<double>(**i_);
      stop_ = !p_->meter_->tick(v);
    }
    Progress* p_ = nullptr;
    std::optional<begin_t<R>> i_;
    bool stop_ = false;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const { return size_hint(r_); }

 private:
  R r_;
  ProgressOptions o_;
  std::optional<Meter> meter_;
};
template <class R>
auto progress(R&& r, ProgressOptions o = {}) {
  return Progress<R>(std::forward<R>(r), std::move(o));
}

/// Ends a range of losses when they stop falling: an exponential average of their changes rises above 0.
class Converge {
 public:
  explicit Converge(double alpha = 0.1) : alpha_(alpha) {}
  /// Takes the next value; true when it is time to stop.
  bool operator()(double x);

 private:
  double alpha_, average_ = 0, change_ = 0;
  bool first_ = true;
};
template <class R>
class ConvergeRange {
 public:
  ConvergeRange(R&& r, double alpha) : r_(std::forward<R>(r)), alpha_(alpha) {}
  class iterator {
   public:
    using value_type = double;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(ConvergeRange* p) : p_(p), test_(p->alpha_) {
      i_.emplace(p->r_.begin());
      look();
    }
    double operator*() const { return value_; }
    iterator& operator++() {
      if (stop_)
        p_ = nullptr;
      else
        ++*i_, look();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.p_ == nullptr; }

   private:
    void look() {
      if (*i_ == p_->r_.end()) {
        p_ = nullptr;
        return;
      }
      value_ = static_cast<double>(**i_);
      stop_ = test_(value_);
    }
    ConvergeRange* p_ = nullptr;
    Converge test_;
    std::optional<begin_t<R>> i_;
    double value_ = 0;
    bool stop_ = false;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  R r_;
  double alpha_;
};
/// converge(adam(model, nll, cycle(data)))
template <class R>
auto converge(R&& r, double alpha = 0.1) {
  return ConvergeRange<R>(std::forward<R>(r), alpha);
}

}  // namespace knet
