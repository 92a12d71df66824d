#!/usr/bin/env bash
# Size of the library, compile time of a user's file and time to the first training step, against their budgets.
# usage: budgets.sh [BUILD_DIR]   (default build/release); exit code 1 when one is missed, 2 when one can't be measured
# CXX chooses the compiler (default g++).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath -m "${1:-$root/build/release}")
cxx=${CXX:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

fail() { echo "budgets.sh: $*" >&2; exit 2; }
# report NAME VALUE LIMIT UNIT
report() {
  local verdict=ok
  awk -v v="$2" -v l="$3" 'BEGIN { exit !(v < l) }' || { verdict=MISSED; status=1; }
  printf '%-34s %9s %-3s (budget %s %s)  %s\n' "$1" "$2" "$4" "$3" "$4" "$verdict"
}

# The stripped shared library; a static build is linked into one.
lib=$(find "$build" -name 'libknet.so*' -type f -print -quit 2>/dev/null || true)
if [ -n "$lib" ]; then
  cp "$lib" "$work/libknet.so"
else
  archive=$(find "$build" -name 'libknet.a' -print -quit 2>/dev/null || true)
  [ -n "$archive" ] || fail "no libknet.so or libknet.a in $build; build the library first"
  "$cxx" -shared -pthread -o "$work/libknet.so" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive 2>"$work/log" ||
    fail "$archive can't be made a shared library (configure with -DBUILD_SHARED_LIBS=ON): $(tail -1 "$work/log")"
fi
strip --strip-unneeded "$work/libknet.so"
report "shared library, stripped" "$(stat -c %s "$work/libknet.so" | awk '{ printf "%.2f", $1 / 1e6 }')" 5 MB

# A user's file.
cat >"$work/user.cpp" <<'CPP'
#include <knet/knet.hpp>

#include <iostream>
using namespace knet;

int main(int argc, char** argv) {
  auto [xtrn, ytrn, xtst, ytst] = datasets::mnist(argc > 1 ? argv[1] : "data/mnist");
  auto dtrn = minibatch(mat(xtrn), ytrn, 100), dtst = minibatch(mat(xtst), ytst, 100);
  MLP model{{784, 100, 50, 10}};
  train(progress(sgd(model, nll, repeat(dtrn, 10))));
  std::cout << "accuracy " << 100 * accuracy(model, dtst) << "\n";
}
CPP
seconds() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'; }
# Median of three: the first one also reads the headers from disk.
for _ in 1 2 3; do
  start=$EPOCHREALTIME
  "$cxx" -std=c++20 -O2 -I"$root" -I"$build" -c "$work/user.cpp" -o "$work/user.o" || fail "the user's file does not compile"
  seconds "$start"
done | sort -g >"$work/times"
[ "$(wc -l <"$work/times")" = 3 ] || fail "the user's file does not compile"
report "compiling a user's file, -O2" "$(sed -n 2p "$work/times")" 3 s

# From starting the process to the end of the first training step of an MLP.
program=$build/benchmarks/bench_ours
[ -x "$program" ] || fail "$program is missing; build the target bench_ours"
for _ in 1 2 3 4 5 6 7 8 9 10 11; do
  start=$EPOCHREALTIME
  "$program" --first-step >/dev/null || fail "$program --first-step failed"
  seconds "$start"
done | sort -g >"$work/times"
[ "$(wc -l <"$work/times")" = 11 ] || fail "$program --first-step failed"
report "start to first training step" "$(sed -n 6p "$work/times" | awk '{ printf "%.1f", 1000 * $1 }')" 50 ms
exit $status
