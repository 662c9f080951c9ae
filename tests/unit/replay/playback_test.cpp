#include "replay/playback.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "replay/spill.hpp"
#include "unit/replay/rules.hpp"

using namespace imdsgate;
using testing::ElementsAre;
using testing::Pair;

namespace {

File file_of(std::string const &text) {
  auto file = unnamed_file();
  EXPECT_TRUE(file);
  EXPECT_EQ(::write(::fileno(file->get()), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return std::move(*file);
}

std::vector<std::pair<std::uint64_t, std::string>> lines_of(std::string const &text) {
  auto const file = file_of(text);
  LineReader reader(::fileno(file.get()));
  std::vector<std::pair<std::uint64_t, std::string>> lines;
  for (auto line = reader.next(); line && *line; line = reader.next())
    lines.emplace_back((*line)->offset, (*line)->text);
  return lines;
}

TEST(LineReader, SplitsAtNewlines) {
  EXPECT_THAT(lines_of(""), ElementsAre());
  EXPECT_THAT(lines_of("a"), ElementsAre(Pair(0, "a")));
  EXPECT_THAT(lines_of("a\n"), ElementsAre(Pair(0, "a")));
  EXPECT_THAT(lines_of("\n\nbc\r\nd"), ElementsAre(Pair(0, ""), Pair(1, ""), Pair(2, "bc\r"), Pair(6, "d")));
  EXPECT_THAT(lines_of(std::string("a\0b\n", 4)), ElementsAre(Pair(0, std::string("a\0b", 3))));
}

// Longer than one read, and a line over its end.
TEST(LineReader, LinesGoOverTheEndOfABuffer) {
  std::string text;
  std::vector<std::pair<std::uint64_t, std::string>> expected;
  for (std::size_t i = 0; text.size() < 5'000'000; ++i) {
    std::string const line(i * 7919 % 100'003, static_cast<char>('a' + i % 26));
    expected.emplace_back(text.size(), line);
    text += line + '\n';
  }
  EXPECT_TRUE(lines_of(text) == expected);
}

TEST(LineReader, AVeryLongLineIsCutAndTheNextOneIsWhole) {
  auto const file = file_of("a\n" + std::string(LineReader::kLongest + 5, 'x') + "\nb\n");
  LineReader reader(::fileno(file.get()));
  EXPECT_EQ(reader.next()->value().text, "a");
  auto const cut = reader.next()->value();
  EXPECT_TRUE(cut.cut);
  EXPECT_EQ(cut.text.size(), LineReader::kLongest);
  EXPECT_EQ(cut.offset, 2u);
  auto const after = reader.next()->value();
  EXPECT_EQ(after.text, "b");
  EXPECT_FALSE(after.cut);
  EXPECT_EQ(*reader.next(), std::nullopt);
}

TEST(LineReader, SeeksAnywhere) {
  std::string text;
  std::vector<std::size_t> offsets;
  for (std::size_t i = 0; i < 400'000; ++i) {
    offsets.push_back(text.size());
    text += std::to_string(i) + '\n';
  }
  auto const file = file_of(text);
  LineReader reader(::fileno(file.get()));
  for (std::size_t i = 0, at = 17; i < 2'000; ++i, at = (at * 48271) % offsets.size()) {
    reader.seek(offsets[at]);
    EXPECT_EQ(reader.next()->value().text, std::to_string(at));
  }
}

TEST(LineReader, WhatCannotBeReadIsAnError) {
  LineReader reader(-1);
  EXPECT_FALSE(reader.next());
}

struct Heard {
  std::vector<std::uint64_t> events;
  std::vector<std::int64_t> times;
  std::vector<std::uint64_t> malformed;
  int started_over = 0;
};

Heard play(std::string const &text) {
  auto const file = file_of(text);
  eql::Engine const engine(rules_of({"any where true"}), {});
  LineReader lines(::fileno(file.get()));
  Heard heard;
  PlaybackListener listener;
  listener.event = [&](RecordedEvent const &event) {
    EXPECT_TRUE(event.text.starts_with('{'));
    heard.events.push_back(event.line);
    heard.times.push_back(event.milliseconds);
  };
  listener.malformed = [&](std::uint64_t line, std::string_view) { heard.malformed.push_back(line); };
  listener.start_over = [&] {
    ++heard.started_over;
    heard.events.clear();
    heard.times.clear();
  };
  EXPECT_TRUE(Playback(lines, engine.fields()).run(listener));
  return heard;
}

std::string at(std::string const &time) {
  return "{\"@timestamp\":" + time + "}\n";
}

TEST(Playback, AnOrderedFileIsReadOnce) {
  auto const heard = play(at("1") + at("1") + at("\"1970-01-01T00:00:00.001Z\"") + at("5"));
  EXPECT_EQ(heard.started_over, 0);
  EXPECT_THAT(heard.events, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(heard.times, ElementsAre(1, 1, 1, 5));
}

TEST(Playback, DisorderIsSortedByMillisecondThenLine) {
  auto const heard = play(at("5") + at("1.9") + at("1.2") + at("0") + at("1"));
  EXPECT_EQ(heard.started_over, 1);
  EXPECT_THAT(heard.events, ElementsAre(3, 1, 2, 4, 0));
  EXPECT_THAT(heard.times, ElementsAre(0, 1, 1, 1, 5));
}

TEST(Playback, MalformedLinesAreToldOnceInTheirOrder) {
  auto const heard = play("x\n" + at("5") + "\n" + at("1") + "y\n" + at("2") + "z");
  EXPECT_EQ(heard.started_over, 1);
  EXPECT_THAT(heard.malformed, ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(heard.events, ElementsAre(3, 5, 1));
}

TEST(Playback, ALargeFileInReverse) {
  std::string text;
  for (int i = 30'000; i > 0; --i)
    text += "{\"x\":\"" + std::string(50, 'x') + "\",\"@timestamp\":" + std::to_string(i) + "}\n";
  auto const heard = play(text);
  ASSERT_EQ(heard.events.size(), 30'000u);
  for (std::size_t i = 0; i < heard.events.size(); ++i) ASSERT_EQ(heard.events[i], 29'999 - i);
}

TEST(Spool, KeepsTheOrderOverTheEdgeToAFile) {
  auto const target = file_of("");
  Spool spool;
  std::string expected;
  for (int i = 0; expected.size() < 3 * Spool::kInMemory; ++i) {
    std::string const line = std::to_string(i) + '\n';
    spool.append(line);
    expected += line;
  }
  ASSERT_TRUE(spool.write_to(::fileno(target.get())));
  LineReader reader(::fileno(target.get()));
  std::string got;
  for (auto line = reader.next(); line && *line; line = reader.next()) got.append((*line)->text).append("\n");
  EXPECT_TRUE(got == expected);
}

TEST(Spool, ForgetsWhatIsDiscarded) {
  auto const target = file_of("");
  Spool spool;
  spool.append(std::string(2 * Spool::kInMemory, 'x'));
  spool.discard();
  spool.append("y");
  ASSERT_TRUE(spool.write_to(::fileno(target.get())));
  EXPECT_EQ(LineReader(::fileno(target.get())).next()->value().text, "y");
}

TEST(Spool, WhatCannotBeWrittenIsAnError) {
  Spool spool;
  spool.append("y");
  EXPECT_FALSE(spool.write_to(-1));
}

}  // namespace
