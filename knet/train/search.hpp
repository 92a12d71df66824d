// Looking for good settings: at random, on a grid, by Hyperband, and for the lowest point of a function of
// several numbers by golden sections. Trials may run in processes of their own.
//
//   const search::Space space{{"lr", search::log_uniform(1e-4, 1e-1)},
//                             {"hidden", search::integers(16, 256)}};
//   const auto loss = [&](const search::Config& c) {
//     MLP model{{784, c.integer("hidden"), 10}};
//     train(model, data, {.optimizer = Adam{.lr = c.number("lr")}});
//     return -accuracy(model, test);
//   };
//   const auto trials = random_search(space, loss, {.trials = 30, .processes = 4});
//   std::cout << trials[0];  // the best
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace knet::search {

/// The values a setting may have.
struct Range {
  enum Kind { uniform, log_uniform, integers, choices } kind = uniform;
  double low = 0, high = 1;
  std::vector<std::string> texts = {};
};
/// Real numbers in [low, high), all alike.
Range uniform(double low, double high);
/// Positive real numbers in [low, high), their logarithms all alike.
Range log_uniform(double low, double high);
/// low, low + 1, ... high.
Range integers(std::int64_t low, std::int64_t high);
/// One of these texts, or numbers.
Range choices(std::vector<std::string> texts);
Range choices(std::initializer_list<double> numbers);

/// The settings of a search by name. ValueError for a name that comes twice.
class Space {
 public:
  Space(std::initializer_list<std::pair<std::string, Range>> settings);
  explicit Space(std::vector<std::pair<std::string, Range>> settings);
  auto begin() const { return settings_.begin(); }
  auto end() const { return settings_.end(); }
  std::size_t size() const { return settings_.size(); }

 private:
  std::vector<std::pair<std::string, Range>> settings_;
};

/// One value for each setting. ValueError for a name that is not there or has a value of another type.
struct Config {
  struct Value {
    std::string name;
    double number = 0;      ///< NaN for a text that is not a number
    std::string text = {};  ///< as it is printed
  };
  std::vector<Value> values = {};
  double number(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  const std::string& text(const std::string& name) const;

 private:
  const Value& find(const std::string& name) const;
};
std::ostream& operator<<(std::ostream&, const Config&);

/// What came of one configuration.
struct Trial {
  Config config;
  double loss = 0;         ///< NaN when it failed
  double resource = 0;     ///< Hyperband's; else 0
  double seconds = 0;      ///< how long it took
  int number = 0;          ///< from 0, in the order of the search
  std::string error = {};  ///< why it failed: what was thrown, or how the process ended; "" when it did not
  /// The lower loss first, failures last, the earlier of equals first.
  friend bool operator<(const Trial&, const Trial&);
};
std::ostream& operator<<(std::ostream&, const Trial&);

struct SearchOptions {
  int trials = 20;  ///< of random_search
  std::uint64_t seed =
      1;  ///< of the configurations and, with the trial's number, of random numbers in a trial
  /// 0: one trial after the other in this process. n: up to n processes made by fork() at a time, each
  /// computing with one thread; one that crashes is a failure. No other thread of the program may run knet
  /// meanwhile.
  int processes = 0;
  double seconds = 0;  ///< a process that takes longer is killed, which is a failure; 0: no limit
};
using Objective = std::function<double(const Config&)>;

/// Random configurations. The trials, best first; the same ones for any number of processes. ValueError for
/// options that make no sense. What the objective throws and a loss of NaN are failures of that trial.
std::vector<Trial> random_search(const Space&, const Objective&, SearchOptions = {});
/// Every combination of all integers, all choices, and `points` evenly spaced values (both ends included) of
/// real ranges. ValueError for more than a million.
std::vector<Trial> grid_search(const Space&, int points, const Objective&, SearchOptions = {});
/// Those combinations, the last setting changing fastest.
std::vector<Config> grid(const Space&, int points);
/// Configuration `number` of the random ones of a seed.
Config sample(const Space&, std::uint64_t seed, std::uint64_t number);

struct HyperbandOptions {
  double max_resource = 27, reduction = 3;
  std::uint64_t seed = 1;
  int processes = 0;
  double seconds = 0;
};
/// One rung: so many configurations with so much resource each.
struct Rung {
  int bracket;
  std::int64_t configurations;
  double resource;
};
/// The rungs of all brackets: for 27 and 3, (27, 1) (9, 3) (3, 9) (1, 27); (12, 3) (4, 9) (1, 27); (6, 9) (2,
/// 27); (4, 27). ValueError for a resource below 1 or a reduction not above 1.
std::vector<Rung> hyperband_rungs(double max_resource, double reduction);
/// Many configurations with little resource (epochs, data), the better ones with more. Every evaluation is a
/// trial; best first. Failed ones go no further while others are left. Li et al. 2018, JMLR 18(185).
std::vector<Trial> hyperband(const Space&, const std::function<double(const Config&, double resource)>& loss,
                             HyperbandOptions = {});

struct GoldenOptions {
  double smallest = 0.1;               ///< ends when every step is this small or smaller
  double factor = 1.6180339887498949;  ///< steps grow and shrink by it
  int evaluations = 1000;              ///< at most
};
struct GoldenResult {
  double value;
  std::vector<double> x;
  int evaluations;
};
/// A low point of f of n numbers, from 0 with steps of 1: the coordinate that promised most is moved; a step
/// that helps grows, one that does not turns round and shrinks. For a positive setting search x0 exp(x). A
/// point is evaluated once; NaN and infinity are worse than any number. ValueError for n < 1 and options
/// without sense.
GoldenResult goldensection(const std::function<double(const std::vector<double>&)>& f, std::size_t n,
                           GoldenOptions = {});

}  // namespace knet::search

namespace knet {
using search::goldensection;
using search::grid_search;
using search::hyperband;
using search::random_search;
}  // namespace knet
