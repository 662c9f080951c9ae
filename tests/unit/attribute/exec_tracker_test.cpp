// The tracker between a scripted source and a gateway that the test is.
#include "attribute/exec_tracker.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <deque>

#include "attribute/codec_exec.hpp"
#include "scripted_processes.hpp"

namespace imdsgate::test {
namespace {

class ScriptedSource : public ExecSource {
 public:
  std::deque<std::vector<ProcessEvent>> batches;  // one a call
  std::function<void()> on_drain = [] {};
  bool wakes = true;
  std::chrono::milliseconds patience() const override { return 1ms; }
  int poll_fd() override { return batches.empty() || !wakes ? silent_.get() : readable_.get(); }
  bool drain(std::vector<ProcessEvent> &events) override {
    on_drain();
    if (batches.empty()) return true;
    events = std::move(batches.front());
    batches.pop_front();
    return batches.empty();
  }

 private:
  HeldFd readable_{::eventfd(1, EFD_CLOEXEC)}, silent_{::eventfd(0, EFD_CLOEXEC)};
};

class ExecTrackerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    gateway_.reset(pair[0]);
    HeldFd theirs(pair[1]);
    doorbell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto page = ExecPage::create();
    ASSERT_TRUE(page);
    page_.emplace(std::move(*page));
    auto mapped = ExecPage::map(HeldFd(::dup(page_->fd())));
    ASSERT_TRUE(mapped);
    host_.there[1] = {1, 0, "/sbin/init", 1};
    host_.there[10] = {50, 1, "/bin/bash", 2};
    tracker_.emplace(std::move(theirs), HeldFd(::dup(doorbell_.get())), std::move(*mapped), source_,
                     host_.reader());
    tracker_->scan();
  }
  std::vector<TrackerRecord> records() {
    std::vector<TrackerRecord> all;
    std::vector<std::uint8_t> buffer(kMaxDatagram);
    for (;;) {
      auto const size = ::recv(gateway_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size <= 0) return all;
      RecordReader datagram({buffer.data(), static_cast<std::size_t>(size)});
      while (!datagram.done()) {
        auto record = datagram.next();
        EXPECT_TRUE(record);
        if (!record) break;
        all.push_back(std::move(*record));
      }
      ++(*page_)->received;
    }
  }
  bool rung() {
    std::uint64_t count = 0;
    return ::read(doorbell_.get(), &count, sizeof count) == sizeof count;
  }
  void ask(std::uint32_t number) {
    BarrierRequest const request{number};
    ASSERT_EQ(::send(gateway_.get(), &request, sizeof request, 0), static_cast<ssize_t>(sizeof request));
  }
  template <class Record>
  static std::size_t count(std::vector<TrackerRecord> const &records) {
    return static_cast<std::size_t>(std::count_if(records.begin(), records.end(), [](auto const &record) {
      return std::holds_alternative<Record>(record);
    }));
  }

  HeldFd gateway_, doorbell_;
  std::optional<ExecPage> page_;
  ScriptedProcesses host_;
  ScriptedSource source_;
  std::optional<ExecTracker> tracker_;
};

TEST_F(ExecTrackerTest, IsReadyWhenTheQueueWasEmptyAfterTheScan) {
  source_.batches = {{host_.fork(10, 20)}, {host_.exec(20, "/usr/bin/curl")}};
  ASSERT_TRUE(tracker_->run_once(0));
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ(count<ReadyRecord>(records()), 0u);
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ(count<ReadyRecord>(records()), 1u);
  EXPECT_TRUE(rung());
}

TEST_F(ExecTrackerTest, IsBusyUntilWhatItTookIsSent) {
  (*page_)->busy.store(1);  // as the gateway does
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ((*page_)->busy.load(), 0u) << "it is ready";
  records();
  source_.batches = {{host_.fork(10, 20)}, {host_.exec(20, "/usr/bin/curl")}};
  source_.on_drain = [&] { EXPECT_EQ((*page_)->busy.load(), 1u) << "before it takes anything"; };
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ((*page_)->busy.load(), 1u) << "more is to be taken";
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ((*page_)->busy.load(), 0u);
  auto const all = records();
  EXPECT_EQ(count<ExecRecord>(all), 1u);
  EXPECT_EQ((*page_)->sent.load(), all.size() + 1) << "the record that it is ready, too";
}

TEST_F(ExecTrackerTest, ABarrierIsAnsweredAfterWhatWasQueued) {
  ASSERT_TRUE(tracker_->run_once(0));
  records();
  rung();
  source_.batches = {{host_.fork(10, 20)}, {host_.exec(20, "/usr/bin/curl")}};
  ask(7);
  ASSERT_TRUE(tracker_->run_once(0));
  ASSERT_TRUE(tracker_->run_once(0));
  auto all = records();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<ExecRecord>(all[0]));
  ASSERT_TRUE(tracker_->run_once(0));
  all = records();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(std::get<BarrierRecord>(all[0]).number, 7u);
  EXPECT_TRUE(rung());
}

// The queue of a busy host may never be empty.
TEST_F(ExecTrackerTest, ABarrierIsAnsweredOnceYoungerEventsCome) {
  ask(7);
  source_.batches = {{host_.fork(10, 20)}, {host_.fork(10, 21)}, {}};
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ(count<BarrierRecord>(records()), 0u);
  host_.now += 100ms;
  source_.batches = {{host_.fork(10, 22)}, {}};
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ(count<BarrierRecord>(records()), 1u);
}

TEST_F(ExecTrackerTest, RingsForManyAndForOneThatWaits) {
  ASSERT_TRUE(tracker_->run_once(0));
  records();
  rung();
  host_.now += 1ms;
  source_.batches = {{host_.fork(10, 20), host_.exec(20, "/usr/bin/curl")}};
  ASSERT_TRUE(tracker_->run_once(0));
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_FALSE(rung()) << "nobody waits for it";
  host_.now += 60ms;
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_TRUE(rung());
  std::vector<ProcessEvent> many;
  for (int i = 0; i < 400; ++i) many.push_back(host_.exec(20, "/usr/bin/curl"));
  source_.batches = {many};
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_TRUE(rung());
}

TEST_F(ExecTrackerTest, AfterManyExecsItLooksByItself) {
  host_.now += 1s;
  ASSERT_TRUE(tracker_->run_once(0));
  source_.wakes = false;
  source_.batches = {{host_.fork(10, 20), host_.exec(20, "/bin/first")}};
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_EQ(source_.batches.size(), 1u) << "it waits to be woken";
  source_.wakes = true;
  std::vector<ProcessEvent> many;
  for (int i = 0; i < 20; ++i) many.push_back(host_.exec(20, "/bin/more"));
  source_.batches.push_back(many);
  ASSERT_TRUE(tracker_->run_once(0));
  ASSERT_TRUE(tracker_->run_once(0));
  host_.now += 100ms;
  ASSERT_TRUE(tracker_->run_once(0));  // the window ends
  records();
  source_.wakes = false;
  source_.batches = {{host_.exec(20, "/bin/last")}};
  ask(7);
  ASSERT_TRUE(tracker_->run_once(0));
  EXPECT_TRUE(source_.batches.empty());
  ASSERT_TRUE(tracker_->run_once(0));
  auto const all = records();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<ExecRecord>(all[0]));
  EXPECT_TRUE(std::holds_alternative<BarrierRecord>(all[1]));
}

TEST_F(ExecTrackerTest, ALossIsToldAndProcReadAgain) {
  ASSERT_TRUE(tracker_->run_once(0));
  records();
  host_.fork(10, 20);
  host_.exec(20, "/usr/bin/curl");
  auto lost = host_.next(ProcessEvent::What::lost, 0, 0);
  lost.since = host_.now - 5ms;
  source_.batches = {{lost}};
  ASSERT_TRUE(tracker_->run_once(0));
  ASSERT_TRUE(tracker_->run_once(0));
  auto const all = records();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(std::get<LostRecord>(all[0]).from, lost.since);
  EXPECT_TRUE(std::get<ExecRecord>(all[1]).found_later);
}

TEST_F(ExecTrackerTest, EndsWithTheGateway) {
  ASSERT_TRUE(tracker_->run_once(0));
  gateway_.reset();
  EXPECT_FALSE(tracker_->run_once(0));
}

}  // namespace
}  // namespace imdsgate::test
