// What exec events cost the host: programs started and awaited a second, with and without the tracker, in
// interleaved rounds of a fixed number; and what a barrier costs the gateway. Needs root and the initial
// namespaces. Prints, asserts nothing.
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "attribute/bpf_execs.hpp"
#include "attribute/exec_events.hpp"
#include "attribute/proc_connector.hpp"
#include "attribute/worker_pool.hpp"

extern char **environ;

namespace {

using namespace imdsgate;
using Clock = std::chrono::steady_clock;

struct Options {
  int rounds = 20;
  int programs = 400;  // a round and a loop
  int warm_up = 50;    // a round, before it is timed
  int loops = 1;       // that start programs at the same time
  int barriers = 500;
  std::string program = "/bin/true";
  bool connector = false;  // instead of BPF
};

[[noreturn]] void die(std::string const &what) {
  std::fprintf(stderr, "exec_bench: %s\n", what.c_str());
  std::exit(1);
}

void start_and_await(std::string const &program) {
  pid_t pid = 0;
  std::string name = program;
  char *const arguments[] = {name.data(), nullptr};
  if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ) != 0) die("posix_spawn");
  if (::waitpid(pid, nullptr, 0) != pid) die("waitpid");
}

// Programs a second, of all loops together, once everything has been run before: a fork(2) makes the pages of
// both processes be copied when they are first written, and the gateway has just been started by one.
double rate(Options const &options) {
  for (int n = 0; n < options.warm_up; ++n) start_and_await(options.program);
  auto const started = Clock::now();
  std::vector<pid_t> loops;
  for (int i = 1; i < options.loops; ++i) {
    auto const pid = ::fork();
    if (pid == 0) {
      for (int n = 0; n < options.programs; ++n) start_and_await(options.program);
      ::_exit(0);
    }
    loops.push_back(pid);
  }
  for (int n = 0; n < options.programs; ++n) start_and_await(options.program);
  for (auto const pid : loops) ::waitpid(pid, nullptr, 0);
  return options.programs * options.loops / std::chrono::duration<double>(Clock::now() - started).count();
}

struct Totals {
  std::uint64_t execs = 0, unknown = 0, losses = 0;
  double tracker_seconds = 0, gateway_seconds = 0;
};

double cpu_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  file >> nanoseconds;
  return nanoseconds / 1e9;
}

// As much of the gateway as exec events need.
class Gateway {
 public:
  explicit Gateway(Options const &options) : pool_(loop_.get_executor(), {.warm = 1, .start = fork_prober}) {
    auto queue = options.connector ? open_proc_connector() : load_exec_programs();
    if (!queue) die(queue.error().detail);
    if (auto started = pool_.start_prober(); !started) die(started.error().detail);
    ExecEventsOptions events_options;
    events_options.request = [this](std::span<int const> fds, std::function<void(NewWorker)> made) {
      return pool_.request_tracker(fds, std::move(made));
    };
    auto events = ExecEvents::open(loop_.get_executor(), std::move(queue.value()), std::move(events_options));
    if (!events) die(events.error().detail);
    events_ = std::move(*events);
    events_->start();
    while (!events_->ready()) loop_.run_one();
    at_start_ = {0, 0, 0, cpu_seconds(events_->tracker_pid()), cpu_seconds(::getpid())};
  }
  ~Gateway() {
    events_->close();
    pool_.close();
    loop_.poll();
  }
  void run_until_readable(int fd) {
    boost::asio::posix::stream_descriptor stop(loop_, fd);
    bool stopped = false;
    stop.async_wait(stop.wait_read, [&](boost::system::error_code) { stopped = true; });
    while (!stopped) loop_.run_one();
    stop.release();
  }
  Totals totals() {
    auto const &history = events_->history().counters();
    return {history.execs, history.unknown, events_->counters().losses,
            cpu_seconds(events_->tracker_pid()) - at_start_.tracker_seconds,
            cpu_seconds(::getpid()) - at_start_.gateway_seconds};
  }
  double barrier() {
    std::optional<double> micros;
    auto const ask = [&]() -> boost::asio::awaitable<void> {
      auto const started = Clock::now();
      bool const passed = co_await events_->drained(started + std::chrono::seconds(5));
      if (!passed) die("a barrier was not passed within five seconds");
      micros = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    };
    boost::asio::co_spawn(loop_, ask, boost::asio::detached);
    while (!micros) loop_.run_one();
    return *micros;
  }
  ExecEventsCounters const &counters() const { return events_->counters(); }

 private:
  boost::asio::io_context loop_;
  WorkerPool pool_;
  std::unique_ptr<ExecEvents> events_;
  Totals at_start_;
};

// Of this process and the children it has awaited.
double own_cpu_seconds() {
  double seconds = 0;
  for (int const who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (auto const &part : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(part.tv_sec) + static_cast<double>(part.tv_usec) / 1e6;
    }
  }
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The rate while a gateway runs in a process of its own.
double rate_with_tracker(Options const &options, Totals &totals, double &spent) {
  int ready[2], stop[2];
  if (::pipe(ready) != 0 || ::pipe(stop) != 0) die("pipe");
  auto const pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    {
      Gateway gateway(options);
      if (::write(ready[1], "r", 1) != 1) ::_exit(1);
      gateway.run_until_readable(stop[0]);
      auto const got = gateway.totals();
      if (::write(ready[1], &got, sizeof got) != sizeof got) ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  if (::read(ready[0], &byte, 1) != 1) die("no exec events");
  auto const before = own_cpu_seconds();
  auto const result = rate(options);
  spent = own_cpu_seconds() - before;
  Totals got;
  if (::write(stop[1], "s", 1) != 1 || ::read(ready[0], &got, sizeof got) != sizeof got)
    die("the gateway ended");
  ::waitpid(pid, nullptr, 0);
  for (int const fd : {ready[0], stop[0], stop[1]}) ::close(fd);
  totals.execs += got.execs;
  totals.unknown += got.unknown;
  totals.losses += got.losses;
  totals.tracker_seconds += got.tracker_seconds;
  totals.gateway_seconds += got.gateway_seconds;
  return result;
}

// Other work on the machine only slows: what the best quarter of the rounds agrees on is the least disturbed.
double median_of_best(std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() - 1 - rates.size() / 8];
}

void print(char const *what, std::vector<double> const &rates) {
  std::printf("%-16s median %7.0f /s, %7.0f to %7.0f\n", what, median(rates),
              *std::min_element(rates.begin(), rates.end()), *std::max_element(rates.begin(), rates.end()));
}

void measure_rates(Options const &options) {
  std::vector<double> without, with, ratios, micros_without, micros_with;
  Totals totals;
  (void)rate(options);  // warms the caches
  auto const programs = static_cast<double>(options.programs * options.loops + options.warm_up);
  auto const alone = [&] {
    auto const before = own_cpu_seconds();
    without.push_back(rate(options));
    micros_without.push_back((own_cpu_seconds() - before) / programs * 1e6);
  };
  for (int round = 0; round < options.rounds; ++round) {
    // Whoever is first alternates, so that a drift of the machine falls on both.
    if (round % 2 == 0) alone();
    double spent = 0;
    with.push_back(rate_with_tracker(options, totals, spent));
    micros_with.push_back(spent / programs * 1e6);
    if (round % 2 == 1) alone();
    ratios.push_back(with.back() / without.back());
  }
  print("without", without);
  print("with tracker", with);
  std::sort(ratios.begin(), ratios.end());
  // The median's 95 % confidence interval, by ranks: the binomial distribution's, as a normal one.
  auto const last = ratios.size() - 1;
  auto const away = static_cast<std::size_t>(std::ceil(0.98 * std::sqrt(static_cast<double>(ratios.size()))));
  auto const middle = ratios.size() / 2;
  std::printf(
      "ratio of medians %.4f; of the best quarters %.4f; of the rounds: median %.4f (95%%: %.4f to %.4f), "
      "quartiles %.4f to %.4f\n",
      median(with) / median(without), median_of_best(with) / median_of_best(without), median(ratios),
      ratios[middle - std::min(middle, away)], ratios[std::min(last, middle + away)],
      ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4]);
  std::printf("processor time of a program: %.0f us without, %.0f us with\n", median(micros_without),
              median(micros_with));
  auto const execs = static_cast<double>(totals.execs);
  std::printf(
      "execs told %llu, %llu gone before they were read, %llu losses; processor time an exec: tracker %.0f "
      "us, gateway %.0f us\n",
      static_cast<unsigned long long>(totals.execs), static_cast<unsigned long long>(totals.unknown),
      static_cast<unsigned long long>(totals.losses), totals.tracker_seconds / execs * 1e6,
      totals.gateway_seconds / execs * 1e6);
}

void print_barriers(char const *what, Options const &options, Gateway &gateway, bool after_a_program) {
  auto const before = gateway.counters();
  std::vector<double> micros;
  for (int i = 0; i < options.barriers; ++i) {
    if (after_a_program) start_and_await(options.program);
    micros.push_back(gateway.barrier());
  }
  std::sort(micros.begin(), micros.end());
  auto const at_once = gateway.counters().drained_at_once - before.drained_at_once;
  std::printf("barrier %-22s median %7.1f us, 99%% %8.1f us, worst %8.1f us; without a message %.1f%%\n",
              what, median(micros), micros[micros.size() * 99 / 100], micros.back(),
              100.0 * static_cast<double>(at_once) / options.barriers);
}

void measure_barriers(Options const &options) {
  Gateway gateway(options);
  print_barriers("at rest", options, gateway, false);
  print_barriers("after a program's end", options, gateway, true);
}

}  // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("What exec events cost");
  app.add_option("--rounds", options.rounds, "of each kind")->capture_default_str();
  app.add_option("--programs", options.programs, "started a round and loop")->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "before a round is timed")->capture_default_str();
  app.add_option("--loops", options.loops, "that start programs at the same time")->capture_default_str();
  app.add_option("--barriers", options.barriers)->capture_default_str();
  app.add_option("--program", options.program)->capture_default_str();
  app.add_flag("--proc-connector", options.connector, "as without BPF");
  CLI11_PARSE(app, argc, argv);
  measure_rates(options);
  measure_barriers(options);
}
