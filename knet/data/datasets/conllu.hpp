// Treebanks in the CoNLL-U format (https://universaldependencies.org/format.html): a line of ten columns a
// word, comments, an empty line behind every sentence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knet::datasets {

enum class ConlluKind : std::uint8_t {
  word,       ///< 1, 2, 3 ...: what syntax is about
  multiword,  ///< 3-4: a written word that stands for several; only form and misc are its own
  empty       ///< 3.1: a node without a written word, for enhanced dependencies
};

/// A line. Columns that are "_" are empty here (but form and lemma, where "_" may be a word).
struct ConlluToken {
  ConlluKind kind = ConlluKind::word;
  std::int64_t id = 0;  ///< of a word; the first of a multiword token; the word before an empty node
  std::int64_t second =
      0;  ///< the last word of a multiword token; the number behind the dot of an empty node
  std::string form, lemma, upos = {}, xpos = {};
  std::vector<std::pair<std::string, std::string>> feats = {};  ///< in the file's order: {"Case", "Nom"}
  std::int64_t head = -1;                                       ///< 0 is the root; -1 where it is "_"
  std::string deprel = {}, deps = {}, misc = {};
  std::size_t line = 0;  ///< in the file, from 1; 0 of one made otherwise
  /// The value of a feature, or "".
  std::string_view feature(std::string_view name) const;
};

struct ConlluSentence {
  std::vector<std::string> comments;  ///< without "#": " sent_id = 1"
  std::vector<ConlluToken> tokens;    ///< in the file's order
  /// The syntactic words: neither multiword tokens nor empty nodes.
  std::vector<const ConlluToken*> words() const;
  /// The value of a comment "key = value", or "".
  std::string_view comment(std::string_view key) const;
};

/// The sentences of a file (plain or .gz). IoError with the line for anything that is not CoNLL-U: other than
/// ten columns, an empty column, ids out of order, a head that is no word of the sentence, a feature without
/// "=". The last sentence may lack its empty line.
std::vector<ConlluSentence> read_conllu(const std::string& path);
std::vector<ConlluSentence> parse_conllu(std::string_view text, const std::string& name = "memory");
/// The text that reads back as the same sentences.
std::string to_conllu(const std::vector<ConlluSentence>&);
/// Written aside and put in place. IoError.
void write_conllu(const std::string& path, const std::vector<ConlluSentence>&);

}  // namespace knet::datasets
