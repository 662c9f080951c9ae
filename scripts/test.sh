#!/usr/bin/env bash
# Everything that is tested: installs what is needed, builds (Release), runs ctest; its summary is the last thing printed.
#   test.sh [CTEST OPTION…]     e.g. test.sh -R integration
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${IMDSGATE_BUILD:-$repository/build}

"$repository/scripts/deps.sh"
export CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=1
cmake -S "$repository" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release
ninja -C "$build"
exec ctest --test-dir "$build" --output-on-failure --parallel 2 "$@"
