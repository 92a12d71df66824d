// Parallel texts: line i of one file is the translation of line i of the other.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knet::datasets {

/// source[i] and target[i] mean the same.
struct Parallel {
  std::vector<std::string> source, target;
  std::size_t size() const { return source.size(); }
  std::pair<const std::string&, const std::string&> operator[](std::size_t i) const {
    return {source[i], target[i]};
  }
};

/// Two files of lines (plain or .gz). IoError when one has more lines than the other: their lines do not
/// belong together then.
Parallel parallel_text(const std::string& source_file, const std::string& target_file);

struct WmtOptions {
  std::string source = "en", target = "de";  ///< or the other way round
  int year = 0;                              ///< 0: the training set; newstest of 2009 to 2016
  std::string form = "bpe";                  ///< of newstest: "bpe", "tok" (tokenised) or "plain"
};
/// English and German of WMT 2014 as Google prepared it (wmt16_en_de.tar.gz, unpacked):
/// train.tok.clean.bpe.32000 or newstest<year>. ValueError for other languages, years or forms.
Parallel wmt14(const std::string& folder, const WmtOptions& = {});
/// Its vocabulary, vocab.bpe.32000: an entry a line, by id.
std::vector<std::string> wmt14_vocabulary(const std::string& folder);

struct IwsltOptions {
  std::string source = "de", target = "en";  ///< one is "en", the other "ar", "cs", "de" or "fr"
  std::string part = "train";                ///< or "dev" or "tst"
  int year = 2010;                           ///< of dev and tst
  bool tedx = false;                         ///< talks of TEDx
};
/// Talks of IWSLT 2016 (WIT3), from the files as they are published or cleaned already:
/// train.tags.de-en.de, or train.de-en.de; IWSLT16.TED.tst2013.de-en.de.xml, or .txt; in the folder or in its
/// folder de-en. The training text keeps its lines without those that are markup (<url>, <title> ...); of XML
/// the segments are taken, with entities resolved. IoError when the two sides differ in length.
Parallel iwslt2016(const std::string& folder, const IwsltOptions& = {});

/// The lines of a training file that are text: not one of WIT3's tags. A sentence that begins with "<" stays.
std::vector<std::string> clean_iwslt_tags(std::string_view text);
/// The segments of an evaluation file: <seg id="1"> text </seg>. IoError for segments that are not closed,
/// and for a file without any.
std::vector<std::string> clean_iwslt_xml(std::string_view text, const std::string& name = "memory");

}  // namespace knet::datasets
