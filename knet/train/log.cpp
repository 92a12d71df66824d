#include "knet/train/log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

#include "knet/base/text.hpp"
#include "knet/train/append_file.hpp"

namespace knet {
namespace {

std::string plain(const LogValue& v) {
  if (const auto* s = std::get_if<std::string>(&v.value)) return *s;
  if (const auto* b = std::get_if<bool>(&v.value)) return *b ? "true" : "false";
  char out[40];
  std::to_chars_result end{};
  if (const auto* i = std::get_if<std::int64_t>(&v.value)) {
    end = std::to_chars(out, out + sizeof out, *i);
  } else {
    const double d = std::get<double>(v.value);
    if (std::isnan(d)) return "nan";
    end = v.single ? std::to_chars(out, out + sizeof out, static_cast<float>(d))
                   : std::to_chars(out, out + sizeof out, d);
  }
  return {out, end.ptr};
}
std::string csv_field(const std::string& s) {
  if (s.find_first_of(",\"\r\n") == s.npos && !s.starts_with(' ') && !s.ends_with(' ')) return s;
  std::string r = "\"";
  for (const char c : s) {
    r += c;
    if (c == '"') r += c;
  }
  return r + '"';
}
void check_names(const char* who, const LogRow& row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (row[i].first == row[k].first) fail<ValueError>(who, ": column ", row[i].first, " is given twice");
    }
  }
}

struct CsvText {
  std::vector<std::string> header;  // the first record's fields
  std::size_t whole = 0;            // bytes up to the end of the last record
};
CsvText read_csv(const std::string& path, const std::string& s) {
  CsvText r;
  bool quoted = false, first = true;
  std::string field;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    if (c == '"') {
      if (quoted && i + 1 < s.size() && s[i + 1] == '"') {
        if (first) field += c;
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (!quoted && (c == ',' || c == '\n')) {
      if (first) {
        if (c == '\n' && field.ends_with('\r')) field.pop_back();
        if (std::ranges::find(r.header, field) != r.header.end())
          fail<IoError>("CsvLog: ", path, ": column ", field, " is there twice");
        r.header.push_back(std::exchange(field, {}));
      }
      if (c == '\n') {
        first = false;
        r.whole = i + 1;
      }
    } else if (first) {
      field += c;
    }
  }
  if (r.whole == 0) r.header.clear();
  return r;
}

}  // namespace

struct CsvLog::State {
  AppendFile file;
  std::vector<std::string> columns;
};
CsvLog::CsvLog(const std::string& path, LogOptions o)
    : state_(new State{AppendFile("CsvLog", path, false), {}}) {
  const std::string old = o.append ? state_->file.read() : std::string();
  CsvText text = read_csv(path, old);
  if (text.whole != old.size() || !o.append) state_->file.truncate(text.whole);
  state_->columns = std::move(text.header);
}
CsvLog::~CsvLog() = default;
CsvLog::CsvLog(CsvLog&&) noexcept = default;
const std::vector<std::string>& CsvLog::columns() const { return state_->columns; }

void CsvLog::row(const LogRow& row) {
  check_names("CsvLog", row);
  if (row.empty()) fail<ValueError>("CsvLog: ", state_->file.path(), ": the row is empty");
  std::vector<std::string> columns = state_->columns;
  std::string out;
  if (columns.empty()) {
    for (const auto& [name, value] : row) {
      out += (columns.empty() ? "" : ",") + csv_field(name);
      columns.push_back(name);
    }
    out += '\n';
  }
  std::vector<std::string> fields(columns.size());
  for (const auto& [name, value] : row) {
    const auto at = std::ranges::find(columns, name);
    if (at == columns.end()) {
      std::string known;
      for (const std::string& c : columns) known += (known.empty() ? "" : ", ") + c;
      fail<ValueError>("CsvLog: ", state_->file.path(), " has no column ", name, ", only ", known);
    }
    fields[static_cast<std::size_t>(at - columns.begin())] = csv_field(plain(value));
  }
  for (std::size_t i = 0; i < fields.size(); ++i) out += (i ? "," : "") + fields[i];
  state_->file.write(out + '\n');
  state_->columns = std::move(columns);
}

struct JsonLinesLog::State {
  AppendFile file;
};
JsonLinesLog::JsonLinesLog(const std::string& path, LogOptions o)
    : state_(new State{AppendFile("JsonLinesLog", path, false)}) {
  const std::string old = o.append ? state_->file.read() : std::string();
  const std::size_t whole = old.rfind('\n') == old.npos ? 0 : old.rfind('\n') + 1;
  if (whole != old.size() || !o.append) state_->file.truncate(whole);
}
JsonLinesLog::~JsonLinesLog() = default;
JsonLinesLog::JsonLinesLog(JsonLinesLog&&) noexcept = default;

void JsonLinesLog::row(const LogRow& row) {
  check_names("JsonLinesLog", row);
  const auto quoted = [](const std::string& s) {
    return nlohmann::json(s).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  std::string out = "{";
  for (const auto& [name, value] : row) {
    const auto* number = std::get_if<double>(&value.value);
    const bool text = std::holds_alternative<std::string>(value.value) || (number && !std::isfinite(*number));
    out += (out.size() > 1 ? ", " : "") + quoted(name) + ": " + (text ? quoted(plain(value)) : plain(value));
  }
  state_->file.write(out + "}\n");
}

}  // namespace knet
