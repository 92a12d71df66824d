// Numbers of a training run in files that everything reads: CSV, or one JSON object per line.
//
//   CsvLog log("log.csv");
//   log.row({{"epoch", e}, {"loss", loss}, {"note", "first"}});
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace knet {

/// A number, a truth value or a text.
struct LogValue {
  std::variant<double, std::int64_t, bool, std::string> value;
  LogValue(std::floating_point auto v) : value(static_cast<double>(v)), single(sizeof(v) < sizeof(double)) {}
  LogValue(std::integral auto v) : value(static_cast<std::int64_t>(v)) {}
  LogValue(bool v) : value(v) {}
  LogValue(const char* v) : value(std::string(v)) {}
  LogValue(std::string v) : value(std::move(v)) {}
  bool single = false;  ///< it came as a float: 0.1f is written as 0.1
};
/// Values by the names of their columns.
using LogRow = std::vector<std::pair<std::string, LogValue>>;

/// What both logs have in common. Every row is one write to the system: a killed program leaves whole rows,
/// or one that is cut, which the next log that opens the file takes away. Numbers are the shortest that read
/// back as the same ones. Not for several threads at once.
struct LogOptions {
  bool append = true;  ///< go on with an existing file; false: start it again
};

/// Comma-separated values (RFC 4180). The first row gives the columns; later rows may leave some out and have
/// them in any order. A file that is resumed keeps its columns. NaN is written nan, infinities inf and -inf.
class CsvLog {
 public:
  /// IoError when the file cannot be opened or is no CSV.
  explicit CsvLog(const std::string& path, LogOptions = {});
  ~CsvLog();
  CsvLog(CsvLog&&) noexcept;
  /// ValueError for a column that the file does not have, or one given twice; nothing is written then.
  void row(const LogRow&);
  const std::vector<std::string>& columns() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// {"epoch": 1, "loss": 0.5} per line; every line has the keys it is given. JSON knows no NaN and no
/// infinity: they are the strings "nan", "inf" and "-inf".
class JsonLinesLog {
 public:
  explicit JsonLinesLog(const std::string& path, LogOptions = {});
  ~JsonLinesLog();
  JsonLinesLog(JsonLinesLog&&) noexcept;
  /// ValueError for a key given twice.
  void row(const LogRow&);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knet
