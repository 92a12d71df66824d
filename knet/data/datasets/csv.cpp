#include "knet/data/datasets/csv.hpp"

#include <algorithm>
#include <limits>
#include <span>

#include "knet/data/datasets/text_lines.hpp"

namespace knet::datasets {
namespace {

struct Field {
  std::string_view text;  // between the quotes
  bool quoted = false;
};

// Cuts a text into records of fields.
class Records {
 public:
  Records(std::string_view text, const CsvOptions& o, const std::string& name)
      : rest_(text), o_(o), name_(name) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }
  // The fields of the next record; false at the end.
  bool next(std::vector<Field>& fields) {
    fields.clear();
    for (;;) {
      if (rest_.empty()) return false;
      line_ = next_line_;
      if (o_.comment == 0 || rest_[0] != o_.comment) break;
      skip_line();
    }
    for (;;) {
      fields.push_back(field());
      if (rest_.empty()) {
        if (ended_) return true;
        fields.push_back({});  // the text ends with a separator
        return true;
      }
      if (ended_) return true;
    }
  }
  std::size_t line() const { return line_; }  // where the record begins
  Place place() const { return {"read_csv", name_, line_}; }

 private:
  void skip_line() {
    const std::size_t end = rest_.find('\n');
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++next_line_;
  }
  // One field, its separator or line end too; ended_ says whether the record is over.
  Field field() {
    Field f;
    if (o_.quote != 0 && !rest_.empty() && rest_[0] == o_.quote) {
      const Place start{"read_csv", name_, next_line_};
      f.quoted = true;
      std::size_t i = 1;
      for (;; ++i) {
        if (i >= rest_.size()) bad_line(start, "a quote opens here and never closes");
        if (rest_[i] == '\n') ++next_line_;
        if (rest_[i] != o_.quote) continue;
        if (i + 1 < rest_.size() && rest_[i + 1] == o_.quote)
          ++i;
        else
          break;
      }
      f.text = rest_.substr(1, i - 1);
      rest_.remove_prefix(i + 1);
      const std::string_view after = rest_.substr(0, 2);
      if (!(after.empty() || after[0] == o_.separator || after[0] == '\n' || after == "\r\n" ||
            after == "\r"))
        bad_line({"read_csv", name_, next_line_}, "\"", excerpt(rest_, 10), "\" behind a closing quote");
    } else {
      const char stops[] = {o_.separator, '\n'};
      const std::size_t end = rest_.find_first_of(std::string_view(stops, 2));
      f.text = rest_.substr(0, end);
      rest_.remove_prefix(std::min(f.text.size(), rest_.size()));
      if ((rest_.empty() || rest_[0] == '\n') && f.text.ends_with('\r')) f.text.remove_suffix(1);
    }
    if (f.quoted && rest_.starts_with('\r')) rest_.remove_prefix(1);
    ended_ = rest_.empty() || rest_[0] == '\n';
    if (!rest_.empty()) {
      if (rest_[0] == '\n') ++next_line_;
      rest_.remove_prefix(1);
    }
    return f;
  }

  std::string_view rest_;
  const CsvOptions& o_;
  const std::string& name_;
  std::size_t line_ = 1, next_line_ = 1;
  bool ended_ = false;
};

std::string unquoted(const Field& f, char quote) {
  std::string s(f.text);
  if (!f.quoted) return s;
  std::size_t to = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == quote) ++i;  // quotes come in pairs here
    s[to++] = s[i];
  }
  s.resize(to);
  return s;
}

ColumnType infer(const Column& c) {
  ColumnType t = ColumnType::integer;
  std::int64_t i = 0;
  double d = 0;
  if (c.missing_count == c.texts.size()) return ColumnType::real;
  for (std::size_t k = 0; k < c.texts.size(); ++k) {
    if (c.missing[k]) continue;
    if (t == ColumnType::integer && !to_integer(c.texts[k], i)) t = ColumnType::real;
    if (t == ColumnType::real && !to_real(c.texts[k], d)) return ColumnType::text;
  }
  return t;
}

// Texts to numbers. `line_of` knows where row k began.
void convert(Column& c, const std::string& name, std::span<const std::size_t> lines) {
  if (c.type == ColumnType::infer) c.type = infer(c);
  if (c.type == ColumnType::text) return;
  const bool whole = c.type == ColumnType::integer;
  for (std::size_t k = 0; k < c.texts.size(); ++k) {
    std::int64_t i = 0;
    double d = std::numeric_limits<double>::quiet_NaN();
    if (!c.missing[k] && !(whole ? to_integer(c.texts[k], i) : to_real(c.texts[k], d)))
      bad_line({"read_csv", name, lines[k]}, "column \"", c.name, "\": \"", excerpt(c.texts[k]), "\" is not ",
               whole ? "an integer" : "a number");
    if (whole)
      c.integers.push_back(i);
    else
      c.reals.push_back(d);
  }
  c.texts = {};
}

void check_options(const CsvOptions& o) {
  if (o.separator == o.quote || o.separator == '\n' || o.separator == '\r' || o.quote == '\n' ||
      o.quote == '\r')
    fail<ValueError>("read_csv: separator and quote must differ and not be line ends");
  if (o.comment != 0 && (o.comment == o.separator || o.comment == o.quote))
    fail<ValueError>("read_csv: the comment sign must differ from separator and quote");
  if (o.limit < -1)
    fail<ValueError>("read_csv: limit ", o.limit, " (expected a number of rows, or -1 for all)");
}

void name_columns(Table& t, const CsvOptions& o, const std::vector<Field>& first, const Place& place) {
  t.columns.resize(first.size());
  if (!o.names.empty() && o.names.size() != first.size())
    bad_line(place, first.size(), " fields, but .names has ", o.names.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    t.columns[i].name = !o.names.empty() ? o.names[i]
                        : o.header       ? unquoted(first[i], o.quote)
                                         : std::to_string(i);
    t.columns[i].type = ColumnType::infer;
  }
  std::vector<std::string_view> seen;
  for (const Column& c : t.columns) seen.push_back(c.name);
  std::ranges::sort(seen);
  if (const auto twice = std::ranges::adjacent_find(seen); twice != seen.end())
    bad_line(place, "two columns are called \"", excerpt(*twice), "\"; .names gives them others");
  for (const auto& [name, type] : o.types) {
    const auto c = std::ranges::find(t.columns, name, &Column::name);
    if (c == t.columns.end())
      fail<ValueError>("read_csv: ", place.file, ": .types: there is no column \"", name, '"');
    c->type = type;
  }
}

}  // namespace

const Column& Table::operator[](std::string_view name) const {
  std::string have;
  for (const Column& c : columns) {
    if (c.name == name) return c;
    have += (have.empty() ? "" : ", ") + c.name;
  }
  fail<ValueError>("Table: there is no column \"", name, "\", but ", excerpt(have, 200));
}

Tensor Table::tensor(std::string_view name) const {
  const Column& c = (*this)[name];
  if (c.type == ColumnType::text) fail<ValueError>("Table: column \"", name, "\" is text (expected numbers)");
  if (c.type == ColumnType::real) return Tensor(c.reals).to(default_dtype()).to(default_device());
  if (c.missing_count > 0)
    fail<ValueError>("Table: column \"", name, "\": ", c.missing_count, " of ", rows,
                     " integers are missing; read it as reals");
  return Tensor(c.integers).to(default_device());
}

Tensor Table::matrix(const std::vector<std::string>& names) const {
  const auto width = static_cast<std::int64_t>(names.size());
  std::vector<double> all(rows * names.size());
  for (std::size_t k = 0; k < names.size(); ++k) {
    const Column& c = (*this)[names[k]];
    if (c.type == ColumnType::text)
      fail<ValueError>("Table: column \"", names[k], "\" is text (expected numbers)");
    for (std::size_t i = 0; i < rows; ++i)
      all[i * names.size() + k] = c.type == ColumnType::real ? c.reals[i]
                                  : c.missing[i]             ? std::numeric_limits<double>::quiet_NaN()
                                                             : static_cast<double>(c.integers[i]);
  }
  return Tensor(all, {static_cast<std::int64_t>(rows), width}).to(default_dtype()).to(default_device());
}

Table parse_csv(std::string_view text, const CsvOptions& o, const std::string& name) {
  check_options(o);
  Table t;
  Records records(text, o, name);
  std::vector<Field> fields;
  std::vector<std::size_t> lines;
  bool named = false;
  while (!named || o.limit < 0 || static_cast<std::int64_t>(t.rows) < o.limit) {
    if (!records.next(fields)) break;
    const bool empty = fields.size() == 1 && fields[0].text.empty() && !fields[0].quoted;
    if (!named) {
      if (empty) continue;
      name_columns(t, o, fields, records.place());
      named = true;
      if (o.header || o.limit == 0) continue;
    }
    if (empty && t.columns.size() > 1) continue;
    if (fields.size() != t.columns.size()) {
      if (!o.skip_bad_rows)
        bad_line(records.place(), fields.size(), " fields (expected ", t.columns.size(),
                 "); .skip_bad_rows leaves such rows out");
      t.skipped.push_back(records.line());
      continue;
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      Column& c = t.columns[i];
      const bool missing =
          !fields[i].quoted && std::ranges::find(o.missing, fields[i].text) != o.missing.end();
      c.texts.push_back(unquoted(fields[i], o.quote));
      c.missing.push_back(missing);
      c.missing_count += missing;
    }
    lines.push_back(records.line());
    ++t.rows;
  }
  if (!named) fail<IoError>("read_csv: ", name, ": is empty (expected ", o.header ? "a header" : "rows", ')');
  for (Column& c : t.columns) convert(c, name, lines);
  return t;
}

Table read_csv(const std::string& path, const CsvOptions& o) {
  return parse_csv(TextFile("read_csv", path).view(), o, path);
}

Table read_tsv(const std::string& path, CsvOptions o) {
  o.separator = '\t';
  return read_csv(path, o);
}

}  // namespace knet::datasets
