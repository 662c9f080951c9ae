#include "model/strict_yaml.hpp"

#include <gtest/gtest.h>

using namespace imdsgate;
using namespace std::chrono_literals;
using yaml::Map;
using yaml::Reader;

namespace {

std::vector<std::string> lines(Reader const &reader) {
  std::vector<std::string> texts;
  for (Problem const &problem : reader.problems()) texts.push_back(problem.to_string());
  return texts;
}

using Lines = std::vector<std::string>;

TEST(StrictYaml, NamesEveryUnknownAndDoubledKeyWithItsPlace) {
  Reader reader("f.yaml");
  auto const root = reader.load("mode: audit\nlisten: {prot: 1}\nmode: enforce\nzzzzzz: 1\n");
  ASSERT_TRUE(root);
  Map map(reader, *root);
  map.find("mode");
  auto const listen = map.find("listen");
  ASSERT_TRUE(listen);
  Map inner(reader, *listen);
  inner.find("port");
  inner.finish();
  map.require("rules");
  map.finish();
  EXPECT_EQ(lines(reader), (Lines{"f.yaml:3:1: key 'mode' is given twice, first on line 1",
                                  "f.yaml:2:10: unknown key 'listen.prot'; did you mean 'port'?",
                                  "f.yaml:1:1: key 'rules' is missing", "f.yaml:4:1: unknown key 'zzzzzz'"}));
}

TEST(StrictYaml, RefusesWhatIsNoSingleDocument) {
  struct Case {
    std::string text, problem;
  };
  for (auto const &[text, problem] : std::vector<Case>{
           {"a: [1\n", "f:2:1: YAML: end of sequence flow not found"},
           {"a: *x", "f:1:4: YAML: the referenced anchor is not defined"},
           {"a: 1\n---\nb: 2\n",
            "f:2:1: something stands behind the end of the document; the file holds one document"},
           {",", "f:1:1: something stands behind the end of the document; the file holds one document"},
           {"a: 1\nb: \xff\n", "f:2:4: not valid UTF-8"},
       }) {
    Reader reader("f");
    EXPECT_FALSE(reader.load(text)) << text;
    EXPECT_EQ(lines(reader), Lines{problem});
  }
  Reader empty("f");
  auto const root = empty.load("# nothing\n");
  ASSERT_TRUE(root);
  EXPECT_TRUE(Map(empty, *root).is_map());
  EXPECT_TRUE(empty.ok());
}

TEST(StrictYaml, DeepNestingIsAProblemNotACrash) {
  Reader reader("f");
  EXPECT_FALSE(reader.load(std::string(100'000, '[')));
  EXPECT_EQ(reader.problems().size(), 1u);
}

// yaml-cpp 0.7 makes endless empty nodes of some of these; memory and time must stay as small as the text.
TEST(StrictYaml, MalformedTextsEnd) {
  for (char const *const text : {",", "a: ,\n", "- ,\n", "a: 1\n,", "a:\n  - ,\n", "? ,\n", "{a: ]", "[a: }",
                                 "[[:", "{:", "a: }", "- ]", "&a ,", "!t ,", "a: &x\n  , b"}) {
    Reader reader("f");
    auto const root = reader.load(text);
    EXPECT_EQ(root.has_value(), reader.ok()) << text;
  }
}

TEST(StrictYaml, ReadsTypesStrictly) {
  enum class Mode { audit, enforce };
  std::string const text =
      "text: plain\nnumber: 5\nquoted: \"5\"\nyes: yes\nflag: true\nnothing:\nlong: 5m\nbad: 5 m\nsize: "
      "16KiB\n"
      "time: 2027-01-01T00:00:00Z\nlist: [a, 1]\nmap: {}\nempty: ''\nhex: 0x1d5\nmode: enforced\nzero: 0\n";
  Reader reader("f");
  auto const root = reader.load(text);
  ASSERT_TRUE(root);
  Map map(reader, *root);
  auto const at = [&](char const *key) { return *map.find(key); };
  EXPECT_EQ(reader.text(at("text")), "plain");
  EXPECT_EQ(reader.text(at("quoted")), "5");
  EXPECT_EQ(reader.text(at("yes")), "yes");
  EXPECT_EQ(reader.boolean(at("flag")), true);
  EXPECT_EQ(reader.duration(at("long"), 1ms, 1h), 5min);
  EXPECT_EQ(reader.size(at("size"), 1, 1 << 20), 16384u);
  EXPECT_EQ(reader.unsigned_integer(at("hex"), 0, 0xffff), 0x1d5u);
  EXPECT_EQ(reader.timestamp(at("time")), std::chrono::sys_days(std::chrono::year{2027} / 1 / 1));
  EXPECT_EQ(reader.text_or_empty(at("empty")), "");
  EXPECT_TRUE(reader.ok());

  EXPECT_FALSE(reader.text(at("number")));
  EXPECT_FALSE(reader.boolean(at("yes")));
  EXPECT_FALSE(reader.text(at("nothing")));
  EXPECT_FALSE(reader.unsigned_integer(at("quoted"), 0, 9));
  EXPECT_FALSE(reader.duration(at("bad"), 1ms, 1h));
  EXPECT_FALSE(reader.text_list(at("list")));
  EXPECT_FALSE(reader.text(at("map")));
  EXPECT_FALSE(reader.text(at("empty")));
  EXPECT_FALSE((reader.choice<Mode>(at("mode"), {{"audit", Mode::audit}, {"enforce", Mode::enforce}})));
  EXPECT_FALSE(reader.unsigned_integer(at("zero"), 1, 9));
  EXPECT_EQ(lines(reader),
            (Lines{"f:2:9: number: expected text: put it in quotes, found a number (5)",
                   "f:4:6: yes: expected true or false, found text (yes)",
                   "f:6:1: nothing: expected text, found nothing",
                   "f:3:9: quoted: expected a whole number from 0 to 9, found text (5)",
                   "f:8:6: bad: expected a duration such as 500ms, 5s, 5m, 1h or 2d, found text (5 m)",
                   "f:11:11: list[1]: expected text: put it in quotes, found a number (1)",
                   "f:12:6: map: expected text, found a map", "f:13:8: empty: is empty",
                   "f:15:7: mode: expected one of audit, enforce, found text (enforced)",
                   "f:16:7: zero: expected a whole number from 1 to 9, found a number (0)"}));
}

// A mark is put before one character of the scalar; its place in the file is where places() must find it.
TEST(StrictYaml, PlacesFollowEveryScalarStyle) {
  for (std::string const style :
       {"q: |\n\n  one two\n    three Xfour\n  five\n", "q: >-\n  one two\n  three Xfour\n",
        "q: \"say \\\"hi\\\" Xnow\"\n", "q: 'it''s Xhere'\n", "q: plain\n  and Xmore\n",
        "a: {q: plain Xtext}\n", "q: |2\n    lead\n  Xend\n", "q: \"a\\u00e9 Xb\"\n",
        "q: !!str |\n  a\n  Xb\n", "q: |\r\n  one\r\n  Xtwo\r\n"}) {
    Reader reader("f");
    auto root = reader.load(style);
    ASSERT_TRUE(root) << style;
    Map map(reader, *root);
    auto value = map.find("q");
    if (!value) value = Map(reader, *map.find("a")).find("q");
    ASSERT_TRUE(value);
    auto const places = reader.places(*value);
    std::string const scalar = value->node.Scalar();
    ASSERT_EQ(places.size(), scalar.size() + 1) << style;
    auto const mark = style.find('X');
    int const line = 1 + static_cast<int>(std::count(style.begin(), style.begin() + long(mark), '\n'));
    int const column = static_cast<int>(mark - (line == 1 ? 0 : style.rfind('\n', mark) + 1)) + 1;
    EXPECT_EQ(places[scalar.find('X')].line, line) << style;
    EXPECT_EQ(places[scalar.find('X')].column, column) << style;
  }
}

}  // namespace
