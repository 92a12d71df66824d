#include "knet/data/datasets/translation.hpp"

#include <algorithm>
#include <charconv>

#include "knet/data/datasets/text_lines.hpp"

namespace knet::datasets {
namespace {

std::vector<std::string> all_lines(std::string_view text) {
  std::vector<std::string> r;
  Lines lines(text);
  for (std::string_view line; lines.next(line);) r.emplace_back(line);
  return r;
}
std::vector<std::string> read_lines(const char* who, const std::string& path) {
  return all_lines(TextFile(who, path).view());
}

Parallel paired(const char* who, const std::string& a, const std::string& b, std::vector<std::string> source,
                std::vector<std::string> target) {
  if (source.size() != target.size())
    fail<IoError>(who, ": ", a, " has ", source.size(), " lines, ", b, " has ", target.size(),
                  ": they are not translations of each other line by line");
  return {std::move(source), std::move(target)};
}

bool is_one_of(std::string_view s, std::initializer_list<const char*> list) {
  return std::ranges::any_of(list, [&](const char* x) { return s == x; });
}

// The name of the tag that a line begins with, or "".
std::string_view tag_of(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with('<')) return {};
  line.remove_prefix(line.starts_with("</") ? 2 : 1);
  const std::size_t end = line.find_first_of(" \t/>");
  return end == std::string_view::npos ? std::string_view() : line.substr(0, end);
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&](std::uint32_t v) { out.push_back(static_cast<char>(static_cast<unsigned char>(v))); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  }
}

// XML's five entities and numbers; whatever else an ampersand begins stays as it is.
std::string resolved(std::string_view s) {
  std::string r;
  while (!s.empty()) {
    const std::size_t amp = s.find('&');
    r.append(s.substr(0, amp));
    if (amp == std::string_view::npos) break;
    s.remove_prefix(amp);
    const std::size_t end = s.substr(0, 12).find(';');
    const std::string_view name = end == std::string_view::npos ? std::string_view() : s.substr(1, end - 1);
    static constexpr std::pair<const char*, char> entities[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    bool known = false;
    for (const auto& [entity, c] : entities) {
      if (name == entity) r.push_back(c), known = true;
    }
    if (!known && name.starts_with('#')) {
      const bool hex = name.starts_with("#x");
      const std::string_view digits = name.substr(hex ? 2 : 1);
      std::uint32_t c = 0;
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), c, hex ? 16 : 10);
      known = error == std::errc() && stop == digits.data() + digits.size() && c > 0 && c <= 0x10FFFF &&
              (c < 0xD800 || c > 0xDFFF);
      if (known) append_utf8(r, c);
    }
    if (known) {
      s.remove_prefix(end + 1);
    } else {
      r.push_back('&');
      s.remove_prefix(1);
    }
  }
  return r;
}

// A segment is one line, however it is broken in the file.
std::string one_line(std::string_view s) {
  std::string r(trimmed(s));
  for (char& c : r) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  return r;
}

}  // namespace

Parallel parallel_text(const std::string& source_file, const std::string& target_file) {
  const char* who = "parallel_text";
  return paired(who, source_file, target_file, read_lines(who, source_file), read_lines(who, target_file));
}

Parallel wmt14(const std::string& folder, const WmtOptions& o) {
  const char* who = "datasets::wmt14";
  const bool right = (o.source == "en" && o.target == "de") || (o.source == "de" && o.target == "en");
  if (!right) fail<ValueError>(who, ": from ", o.source, " to ", o.target, " (expected en and de)");
  std::string stem = "train.tok.clean.bpe.32000";
  if (o.year != 0) {
    if (o.year < 2009 || o.year > 2016) fail<ValueError>(who, ": year ", o.year, " (expected 2009 to 2016)");
    stem = "newstest" + std::to_string(o.year);
    if (o.form == "bpe")
      stem += ".tok.bpe.32000";
    else if (o.form == "tok")
      stem += ".tok";
    else if (o.form != "plain")
      fail<ValueError>(who, ": form \"", o.form, "\" (expected bpe, tok or plain)");
  }
  const char* advice = "wmt16_en_de.tar.gz of Google's seq2seq holds them";
  const std::string a = find_file(who, folder, {stem + "." + o.source}, advice);
  const std::string b = find_file(who, folder, {stem + "." + o.target}, advice);
  return paired(who, a, b, read_lines(who, a), read_lines(who, b));
}

std::vector<std::string> wmt14_vocabulary(const std::string& folder) {
  const char* who = "datasets::wmt14_vocabulary";
  return read_lines(who, find_file(who, folder, {"vocab.bpe.32000"}, "wmt16_en_de.tar.gz holds it"));
}

std::vector<std::string> clean_iwslt_tags(std::string_view text) {
  std::vector<std::string> r;
  Lines lines(text);
  for (std::string_view line; lines.next(line);) {
    if (!is_one_of(tag_of(line), {"url", "keywords", "speaker", "talkid", "title", "description", "reviewer",
                                  "translator", "doc", "srcset", "refset", "tstset", "dates", "transcript"}))
      r.emplace_back(trimmed(line));
  }
  return r;
}

std::vector<std::string> clean_iwslt_xml(std::string_view text, const std::string& name) {
  const char* who = "clean_iwslt_xml";
  std::vector<std::string> r;
  std::size_t line = 1;
  const auto skip = [&](std::size_t n) {
    line += static_cast<std::size_t>(
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n), '\n'));
    text.remove_prefix(n);
  };
  for (;;) {
    const std::size_t start = text.find("<seg");
    if (start == std::string_view::npos) break;
    skip(start);
    const Place place{who, name, line};
    const std::size_t open = text.find('>');
    if (open == std::string_view::npos) bad_line(place, "the tag <seg has no end");
    if (text[4] != ' ' && text[4] != '>' && text[4] != '\t') {  // <segment ...>
      skip(4);
      continue;
    }
    const std::size_t close = text.find("</seg>"), again = text.find("<seg", 4);
    if (close == std::string_view::npos || close < open || again < close)
      bad_line(place, "a segment is not closed");
    r.push_back(one_line(resolved(text.substr(open + 1, close - open - 1))));
    skip(close + 6);
  }
  if (r.empty()) fail<IoError>(who, ": ", name, ": there is no <seg>");
  return r;
}

Parallel iwslt2016(const std::string& folder, const IwsltOptions& o) {
  const char* who = "datasets::iwslt2016";
  const std::string other = o.source == "en" ? o.target : o.source;
  if ((o.source != "en" && o.target != "en") || !is_one_of(other, {"ar", "cs", "de", "fr"}))
    fail<ValueError>(who, ": from ", o.source, " to ", o.target,
                     " (expected one to be en, the other ar, cs, de or fr)");
  if (!is_one_of(o.part, {"train", "dev", "tst"}))
    fail<ValueError>(who, ": part \"", o.part, "\" (expected train, dev or tst)");
  const std::string pair = o.source + "-" + o.target;
  const bool train = o.part == "train";
  const auto side = [&](const std::string& language) {
    std::vector<std::string> names;
    if (train)
      names = {"train.tags." + pair + "." + language, "train." + pair + "." + language};
    else
      names = {"IWSLT16.TED" + std::string(o.tedx ? "X" : "") + "." + o.part + std::to_string(o.year) + "." +
               pair + "." + language + ".xml"};
    if (!train) names.push_back(names[0].substr(0, names[0].size() - 3) + "txt");
    for (std::size_t i = 0, n = names.size(); i < n; ++i) names.push_back(pair + "/" + names[i]);
    return find_file(who, folder, names, "IWSLT 2016 is at https://wit3.fbk.eu");
  };
  const auto read = [&](const std::string& path) {
    const TextFile file(who, path);
    if (path.find("train.tags.") != std::string::npos) return clean_iwslt_tags(file.view());
    if (path.find(".xml") != std::string::npos) return clean_iwslt_xml(file.view(), path);
    return all_lines(file.view());
  };
  const std::string a = side(o.source), b = side(o.target);
  return paired(who, a, b, read(a), read(b));
}

}  // namespace knet::datasets
