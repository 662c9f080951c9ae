#!/usr/bin/env bash
# What a change has to pass, stage by stage, cheapest first: format, build (and every test), sanitize, tidy,
# fuzz.
#   check.sh [STAGE…]     e.g. check.sh format tidy; without one, all of them
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${IMDSGATE_BUILD:-$repository/build}
cd "$repository"
export CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=1
jobs=${IMDSGATE_JOBS:-2}

# Not formatted yet: proxy/act, proxy/gateway, proxy/cli.
unformatted='^proxy/(act|gateway|cli)/'

run_format() {
  git ls-files 'proxy/*.cpp' 'proxy/*.hpp' 'tests/*.cpp' 'tests/*.hpp' | grep -vE "$unformatted" |
    xargs -r clang-format --dry-run -Werror
}

run_build() { "$repository/scripts/test.sh"; }

# AddressSanitizer and UndefinedBehaviorSanitizer, over the unit tests.
run_sanitize() {
  cmake -S "$repository" -B "$build-sanitize" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DIMDSGATE_SANITIZE=address,undefined >/dev/null
  ninja -C "$build-sanitize" -j "$jobs"
  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_stack_use_after_return=1 \
    ctest --test-dir "$build-sanitize" --output-on-failure --parallel "$jobs" -R '^unit\.'
}

# A build directory of its own: clang reads no header that g++ has precompiled. clang 14 has coroutines and does not say
# so in the way libstdc++ 12 asks.
run_tidy() {
  cmake -S "$repository" -B "$build-tidy" -G Ninja -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
    -DCCACHE=OFF -DIMDSGATE_TESTS=OFF >/dev/null
  git ls-files 'proxy/*.cpp' | xargs -r -P "$jobs" -n 1 clang-tidy --quiet -p "$build-tidy" \
    --extra-arg=-D__cpp_impl_coroutine=201902L --extra-arg=-Wno-error
}

# Each fuzzer for a minute, from its corpus. What it finds is left in the build directory; the corpus is not changed.
run_fuzz() {
  cmake -S "$repository" -B "$build-fuzz" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-14 \
    -DCCACHE=OFF -DIMDSGATE_FUZZ=ON -DIMDSGATE_TESTS=OFF >/dev/null
  ninja -C "$build-fuzz" -j "$jobs"
  local corpus name
  for corpus in "$repository"/tests/fuzz/corpus/*/; do
    name=$(basename "$corpus")
    mkdir -p "$build-fuzz/found/$name"
    (cd "$build-fuzz" && UBSAN_OPTIONS=halt_on_error=1 "tests/fuzz/fuzz_$name" -max_total_time=60 -max_len=4096 \
      -print_final_stats=1 "found/$name" "$corpus")
  done
}

(($#)) || set -- format build sanitize tidy fuzz
for stage in "$@"; do
  [[ $stage =~ ^(format|build|sanitize|tidy|fuzz)$ ]] || {
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
  }
done
"$repository/scripts/deps.sh"
for stage in "$@"; do
  printf '== %s\n' "$stage"
  "run_$stage"
done
