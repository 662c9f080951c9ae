// What exec events cost the host: programs started and awaited a second, while events are queued for the tracker and
// while they are not, in short turns of a fixed number, so that what else the machine does falls on both; and what a
// barrier costs the gateway. Needs root and the initial namespaces. Prints, asserts nothing.
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
#include <optional>
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
  int rounds = 300;
  int programs = 100;  // a turn and a loop
  int warm_up = 30;    // of a turn, before it is timed: as many as the tracker lets wait
  int loops = 1;      // that start programs at the same time
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

// Programs a second, of all loops together.
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
    if (auto started = pool_.start_prober(); !started) die(started.error().detail);
    if (!options.connector) {
      auto programs = ExecPrograms::load();
      if (!programs) die(programs.error().detail);
      programs_ = std::move(*programs);
      turn(true);
    }
    gateway_before_ = cpu_seconds(::getpid());
  }
  ~Gateway() {
    close();
    pool_.close();
    loop_.poll();
  }
  // Events are queued, or not. The programs of the kernel are attached and detached, so that the tracker is one that has been
  // running for a while; of the connector it is a new one, because what it is not told of it counts as lost.
  void turn(bool on) {
    auto const began = cpu_seconds(::getpid());
    if (!programs_) {
      if (on) open(open_proc_connector());
    } else if (!on) {
      programs_->detach();
    } else if (auto attached = programs_->attach(); !attached) {
      die(attached.error().detail);
    } else if (!events_) {
      open(programs_->queue());
    }
    gateway_before_ += cpu_seconds(::getpid()) - began;
  }
  // What was queued has been taken when this returns.
  void finish() {
    (void)barrier();
    if (!programs_) close();
  }
  void run_until_readable(int fd) {
    boost::asio::posix::stream_descriptor stop(loop_, fd);
    bool stopped = false;
    stop.async_wait(stop.wait_read, [&](boost::system::error_code) { stopped = true; });
    while (!stopped) loop_.run_one();
    stop.release();
  }
  Totals totals() const {
    auto all = ended_;
    if (events_) add_current(all);
    all.gateway_seconds = cpu_seconds(::getpid()) - gateway_before_;
    return all;
  }
  double barrier() {
    std::optional<double> micros;
    auto const ask = [&]() -> boost::asio::awaitable<void> {
      auto const started = Clock::now();
      bool const passed = co_await events_->drained(started + std::chrono::seconds(20));
      if (!passed) die("a barrier was not passed in time");
      micros = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    };
    boost::asio::co_spawn(loop_, ask, boost::asio::detached);
    while (!micros) loop_.run_one();
    return *micros;
  }
  ExecEventsCounters const &counters() const { return events_->counters(); }

 private:
  void open(Result<ExecQueue> queue) {
    if (!queue) die(queue.error().detail);
    ExecEventsOptions options;
    options.request = [this](std::span<int const> fds, std::function<void(NewWorker)> made) {
      return pool_.request_tracker(fds, std::move(made));
    };
    auto events = ExecEvents::open(loop_.get_executor(), std::move(queue.value()), std::move(options));
    if (!events) die(events.error().detail);
    events_ = std::move(*events);
    events_->start();
    while (!events_->ready()) loop_.run_one();
    tracker_before_ = cpu_seconds(events_->tracker_pid());
  }
  void close() {
    if (!events_) return;
    add_current(ended_);
    events_->close();
    events_.reset();
  }
  void add_current(Totals &totals) const {
    auto const &history = events_->history().counters();
    totals.execs += history.execs;
    totals.unknown += history.unknown;
    totals.losses += events_->counters().losses;
    totals.tracker_seconds += cpu_seconds(events_->tracker_pid()) - tracker_before_;
  }

  boost::asio::io_context loop_;
  WorkerPool pool_;
  std::optional<ExecPrograms> programs_;  // nullopt: of the connector
  std::unique_ptr<ExecEvents> events_;
  Totals ended_;
  double tracker_before_ = 0, gateway_before_ = 0;
};

// In a process of its own.
class GatewayProcess {
 public:
  explicit GatewayProcess(Options const &options) {
    int commands[2], answers[2];
    if (::pipe(commands) != 0 || ::pipe(answers) != 0) die("pipe");
    auto const pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(commands[1]);
      serve(options, commands[0], answers[1]);
      ::_exit(0);
    }
    ::close(commands[0]);
    ::close(answers[1]);
    commands_ = commands[1];
    answers_ = answers[0];
    pid_ = pid;
  }
  ~GatewayProcess() {
    ::close(commands_);
    ::close(answers_);
    ::waitpid(pid_, nullptr, 0);
  }
  GatewayProcess(GatewayProcess const &) = delete;
  GatewayProcess &operator=(GatewayProcess const &) = delete;

  void on() { (void)command(kOn); }
  Totals off() { return command(kOff); }

 private:
  static constexpr char kOn = 1, kOff = 0;

  static void serve(Options const &options, int commands, int answers) {
    Gateway gateway(options);
    char on = 0;
    while (gateway.run_until_readable(commands), ::read(commands, &on, 1) == 1) {
      gateway.turn(on != 0);
      if (!on) gateway.finish();
      auto const totals = gateway.totals();
      if (::write(answers, &totals, sizeof totals) != sizeof totals) return;
    }
  }
  Totals command(char on) {
    Totals got;
    if (::write(commands_, &on, 1) != 1 || ::read(answers_, &got, sizeof got) != sizeof got) die("the gateway ended");
    return got;
  }
  int commands_ = -1, answers_ = -1;
  pid_t pid_ = 0;
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

struct Turns {
  std::vector<double> rates, micros;  // programs a second; processor time of a program
  void take(Options const &options) {
    auto const before = own_cpu_seconds();
    rates.push_back(rate(options));
    micros.push_back((own_cpu_seconds() - before) / (options.programs * options.loops + options.warm_up) * 1e6);
  }
  void print(char const *what) const {
    std::printf("%-14s median %6.0f /s, %6.0f to %6.0f; processor time of a program: median %5.0f us\n", what,
                median(rates), *std::min_element(rates.begin(), rates.end()),
                *std::max_element(rates.begin(), rates.end()), median(micros));
  }
};

void print_ratios(char const *what, std::vector<double> const &with, std::vector<double> const &without) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < with.size(); ++i) ratios.push_back(with[i] / without[i]);
  std::sort(ratios.begin(), ratios.end());
  // The median's 95 % confidence interval, by ranks: the binomial distribution's, as a normal one.
  auto const last = ratios.size() - 1;
  auto const away = static_cast<std::size_t>(std::ceil(0.98 * std::sqrt(static_cast<double>(ratios.size()))));
  auto const middle = ratios.size() / 2;
  std::printf("ratio of %-16s median of the rounds %.4f (95%%: %.4f to %.4f), quartiles %.4f to %.4f\n", what,
              median(ratios), ratios[middle - std::min(middle, away)], ratios[std::min(last, middle + away)],
              ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4]);
}

void measure_rates(Options const &options) {
  GatewayProcess gateway(options);
  Turns without, with;
  Totals totals;
  gateway.on();
  (void)rate(options);  // warms the caches
  (void)gateway.off();
  for (int round = 0; round < options.rounds; ++round) {
    // Whoever is first alternates, so that a drift of the machine falls on both.
    if (round % 2 == 0) without.take(options);
    gateway.on();
    with.take(options);
    totals = gateway.off();
    if (round % 2 == 1) without.take(options);
  }
  without.print("without events");
  with.print("with events");
  print_ratios("rates:", with.rates, without.rates);
  print_ratios("processor times:", with.micros, without.micros);
  auto const execs = static_cast<double>(totals.execs);
  std::printf(
      "execs told %llu, %llu gone before they were read, %llu losses; processor time an exec: tracker %.1f us, "
      "gateway %.1f us\n",
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
  gateway.turn(true);
  print_barriers("at rest", options, gateway, false);
  print_barriers("after a program's end", options, gateway, true);
}

}  // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("What exec events cost");
  app.add_option("--rounds", options.rounds, "of two turns")->capture_default_str();
  app.add_option("--programs", options.programs, "started a turn and loop")->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "before a turn is timed")->capture_default_str();
  app.add_option("--loops", options.loops, "that start programs at the same time")->capture_default_str();
  app.add_option("--barriers", options.barriers)->capture_default_str();
  app.add_option("--program", options.program)->capture_default_str();
  app.add_flag("--proc-connector", options.connector, "as without BPF");
  CLI11_PARSE(app, argc, argv);
  measure_rates(options);
  measure_barriers(options);
}
