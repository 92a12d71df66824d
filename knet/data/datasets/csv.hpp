// Tables in text files: CSV, TSV and their kin (RFC 4180), with typed columns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::datasets {

enum class ColumnType : std::uint8_t {
  infer,    ///< integer when every value is one, else real when every value is a number, else text
  integer,  ///< i64
  real,     ///< double
  text
};

/// One column; the vector of its type has a value for every row.
struct Column {
  std::string name;
  ColumnType type = ColumnType::text;
  std::vector<std::int64_t> integers = {};  ///< 0 where missing
  std::vector<double> reals = {};           ///< NaN where missing
  std::vector<std::string> texts = {};      ///< as in the file where missing
  std::vector<bool> missing = {};           ///< of every row
  std::size_t missing_count = 0;
};

struct Table {
  std::vector<Column> columns;
  std::size_t rows = 0;
  std::vector<std::size_t> skipped;  ///< lines of rows that were left out (.skip_bad_rows)
  /// ValueError when there is no such column, with those that there are.
  const Column& operator[](std::string_view name) const;
  /// A column of numbers: [rows], i64 of integers, the default dtype of reals. ValueError for text, and for
  /// integers where some are missing (give the column the type real: then they are NaN).
  Tensor tensor(std::string_view name) const;
  /// Columns of numbers side by side, of the default dtype: [rows, names].
  Tensor matrix(const std::vector<std::string>& names) const;
};

struct CsvOptions {
  char separator = ',';
  char quote = '"';                     ///< 0: quotes are text like any other
  bool header = true;                   ///< the first row has the names
  std::vector<std::string> names = {};  ///< instead of the header's, or of "0", "1" ...
  std::vector<std::pair<std::string, ColumnType>> types =
      {};  ///< of columns by name; the others are inferred
  std::vector<std::string> missing = {"", "NA", "N/A", "NaN", "nan", "NULL", "null"};  ///< unless quoted
  char comment = 0;            ///< lines that start with it are left out; 0: none
  bool skip_bad_rows = false;  ///< rows with a wrong number of fields are listed in `skipped`, not an error
  std::int64_t limit = -1;     ///< at most so many rows; -1: all
};

/// A quoted field may hold separators, line ends and doubled quotes; a quote inside a field that does not
/// start with one is text. Empty lines are left out where there are several columns. IoError with the line
/// for a row of another length, a value that is not of its column's type, text behind a closing quote, a
/// quote that never closes; ValueError for options that contradict each other.
Table read_csv(const std::string& path, const CsvOptions& = {});
/// The same with tabs.
Table read_tsv(const std::string& path, CsvOptions o = {});
/// The same from memory; `name` stands for the path in messages.
Table parse_csv(std::string_view text, const CsvOptions& = {}, const std::string& name = "memory");

}  // namespace knet::datasets
