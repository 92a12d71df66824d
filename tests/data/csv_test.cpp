// Tables: quoting, types, missing values, and where errors are said to be.
#include <cmath>

#include "knet/io/gzip.hpp"
#include "knet/knet.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using namespace knet::datasets;
using io_test::error_of;
using io_test::has;
using Texts = std::vector<std::string>;

TEST(Csv, TypesAreInferred) {
  const Table t = parse_csv("name,age,height,id\nAda,36,1.65,007\nBob,,1.8,8\n\nCem, 41 ,NA,+9\n");
  EXPECT_EQ(t.rows, 3u);
  EXPECT_EQ(t["name"].type, ColumnType::text);
  EXPECT_EQ(t["name"].texts, (Texts{"Ada", "Bob", "Cem"}));
  EXPECT_EQ(t["age"].type, ColumnType::integer);
  EXPECT_EQ(t["age"].integers, (std::vector<std::int64_t>{36, 0, 41}));
  EXPECT_EQ(t["age"].missing, (std::vector<bool>{false, true, false}));
  EXPECT_EQ(t["age"].missing_count, 1u);
  EXPECT_EQ(t["height"].type, ColumnType::real);
  EXPECT_EQ(t["height"].reals[1], 1.8);
  EXPECT_TRUE(std::isnan(t["height"].reals[2]));
  EXPECT_EQ(t["id"].integers, (std::vector<std::int64_t>{7, 8, 9}));
  EXPECT_EQ(t.tensor("id").to_vector<std::int64_t>(), (std::vector<std::int64_t>{7, 8, 9}));
  EXPECT_THROW(t.tensor("age"), ValueError);
  EXPECT_THROW(t.tensor("name"), ValueError);
  EXPECT_THROW(t["weight"], ValueError);
  const Tensor m = t.matrix({"id", "age"});
  EXPECT_EQ(m.shape(), (Shape{3, 2}));
  EXPECT_EQ(m.dtype(), default_dtype());
  EXPECT_EQ(m(2, 1).item(), 41);
  EXPECT_TRUE(std::isnan(m(1, 1).item()));
}

TEST(Csv, TypesAreGiven) {
  const Table t =
      parse_csv("zip,n\n01234,1\n99,\n", {.types = {{"zip", ColumnType::text}, {"n", ColumnType::real}}});
  EXPECT_EQ(t["zip"].texts, (Texts{"01234", "99"}));
  EXPECT_EQ(t.tensor("n")(0).item(), 1);
  EXPECT_THROW(parse_csv("a\n1\n", {.types = {{"b", ColumnType::text}}}), ValueError);
  const std::string e = error_of([] {
    parse_csv("a\n1\n\"x\ny\"\n2z\n", {.types = {{"a", ColumnType::integer}}}, "f.csv");
  });
  EXPECT_TRUE(has(e, "f.csv: line 3") && has(e, "\"a\"") && has(e, "not an integer"));
  // Beyond 64 bits: a real.
  EXPECT_EQ(parse_csv("a\n99999999999999999999\n")["a"].type, ColumnType::real);
}

TEST(Csv, Quoting) {
  const Table t = parse_csv(
      "\xEF\xBB\xBF\"a\",b,c\r\n\"x, y\",\"he said \"\"no\"\"\",\"two\r\nlines\"\r\n5\" tall,\"\",NA\r\n");
  EXPECT_EQ(t.rows, 2u);
  EXPECT_EQ(t["a"].texts, (Texts{"x, y", "5\" tall"}));
  EXPECT_EQ(t["b"].texts, (Texts{"he said \"no\"", ""}));
  EXPECT_EQ(t["b"].missing_count, 0u);  // "" is a value, and nothing is not
  EXPECT_EQ(t["c"].texts[0], "two\r\nlines");
  EXPECT_EQ(t["c"].missing_count, 1u);
  const Table literal = parse_csv("a\tb\n\"x\ty\"\n", {.separator = '\t', .quote = 0});
  EXPECT_EQ(literal["a"].texts[0], "\"x");
  EXPECT_EQ(literal["b"].texts[0], "y\"");
}

TEST(Csv, EndsOfFiles) {
  for (const char* s : {"a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r", "a,b\n1,\"2\"", "a,b\n1,2\n\n\n"})
    EXPECT_EQ(parse_csv(s).tensor("b").to_vector<std::int64_t>(), (std::vector<std::int64_t>{2})) << s;
  EXPECT_EQ(parse_csv("a,b\n1,")["b"].missing_count, 1u);
  EXPECT_EQ(parse_csv("a\n\nx\n")["a"].missing_count, 1u);  // of one column an empty line is a row
  EXPECT_EQ(parse_csv("a,b\n").rows, 0u);
  EXPECT_TRUE(has(error_of([] { parse_csv(""); }), "empty"));
}

TEST(Csv, HeadersNamesCommentsLimits) {
  const Table t =
      parse_csv("# made by hand\n1,2\n# more\n3,4\n5,6\n", {.header = false, .comment = '#', .limit = 2});
  EXPECT_EQ(t["1"].integers, (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(parse_csv("x,y\n1,2\n", {.names = {"a", "b"}})["b"].integers[0], 2);
  EXPECT_TRUE(has(error_of([] { parse_csv("x,y\n1,2\n", {.names = {"a"}}); }), "line 1"));
  EXPECT_TRUE(has(error_of([] { parse_csv("x,x\n"); }), "two columns"));
  EXPECT_THROW(parse_csv("a\n", {.separator = '"'}), ValueError);
  EXPECT_THROW(parse_csv("a\n", {.comment = ','}), ValueError);
  EXPECT_THROW(parse_csv("a\n", {.limit = -2}), ValueError);
}

TEST(Csv, BadRowsHaveLines) {
  const char* s = "a,b\n1,\"x\ny\"\n1,2,3\n4,5\n";
  EXPECT_TRUE(has(error_of([&] { parse_csv(s, {}, "f.csv"); }), "f.csv: line 4: 3 fields (expected 2)"));
  const Table t = parse_csv(s, {.skip_bad_rows = true});
  EXPECT_EQ(t.rows, 2u);
  EXPECT_EQ(t.skipped, (std::vector<std::size_t>{4}));
  EXPECT_TRUE(has(error_of([] { parse_csv("a,b\n1,\"x\n\n"); }), "line 2: a quote opens here"));
  EXPECT_TRUE(has(error_of([] { parse_csv("a,b\n1,\"x\"y\n"); }), "behind a closing quote"));
  EXPECT_TRUE(has(error_of([] { read_csv("/nowhere/f.csv"); }), "/nowhere/f.csv"));
}

class CsvFiles : public io_test::Folder {};
TEST_F(CsvFiles, PlainAndCompressed) {
  const std::string text = "a\tb\n1\tx,y\n";
  io_test::write(path("t.tsv"), text);
  io_test::write(path("t.tsv.gz"), io::gzip(io_test::bytes(text)));
  for (const char* f : {"t.tsv", "t.tsv.gz"}) EXPECT_EQ(read_tsv(path(f))["b"].texts[0], "x,y");
}

}  // namespace
