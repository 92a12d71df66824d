#!/usr/bin/env python3
"""Where the time of each workload goes, sampled with perf after it has warmed up.

usage: where.py DIR [NAME...] [--threads 2] [--seconds 2]

DIR is where the benchmark programs were built; perf comes with Debian's linux-perf. Prints percent of all threads' time:
products (micro-kernels and dot products, and what walks over their tiles), packing, convolution (kernels of their own and
transforms), pools, sequence (gates, attention beside its products), elements (elementwise, rows, normalisation, copies),
update (optimisers), waiting (for other threads), other (tape, tensors, the system).
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

KINDS = [
    ("waiting", r"detail::parallel\b|Pool::start|Pieces::|sched_yield|futex"),
    ("packing", r"pack_|columns_to|lay_along"),
    ("products", r"micro<|dots<|dot_tile|dot_block|run_tiles|run_runs|store_part|long_row|add_rows|kernel_for"),
    ("convolution", r"few::|sparse::|depth::|winograd::|by_lines|by_rows|gather<|conv"),
    ("pools", r"pooling::|pool"),
    ("sequence", r"lstm|gru|forward_rows|backward_rows|exponentials|attention|Attention|recurrent|rnn"),
    ("update", r"update"),
    ("elements", r"cpu_impl|Lines<|memmove|memset|memcpy|fill|column_sums|index_"),
]
ORDER = ["products", "packing", "convolution", "pools", "sequence", "elements", "update", "waiting", "other"]


def kind(symbol):
    for name, pattern in KINDS:
        if re.search(pattern, symbol):
            return name
    return "other"


def sample(program, name, threads, seconds):
    """Symbols and their counts."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="true")
    server = subprocess.Popen([program, "--serve", "--threads", str(threads)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, bufsize=1, env=env)

    def step():
        server.stdin.write(name + "\n")
        server.stdin.flush()
        if not server.stdout.readline().strip():
            sys.exit(f"where.py: {program} does not know {name}")

    with tempfile.TemporaryDirectory() as folder:
        data = str(pathlib.Path(folder) / "perf.data")
        for _ in range(3):
            step()
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", data, "-p",
                                 str(server.pid), "--", "sleep", str(seconds)], stderr=subprocess.DEVNULL)
        while perf.poll() is None:
            step()
        server.stdin.close()
        server.wait()
        lines = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], capture_output=True, text=True,
                               check=True).stdout.splitlines()
    counts = dict.fromkeys(ORDER, 0)
    for line in lines:
        counts[kind(line.strip().partition(" ")[2])] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    a = parser.parse_args()
    program = str(a.dir / "bench_ours")
    names = a.names or subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    print(f"{'workload':<26}" + "".join(f"{k:>12}" for k in ORDER))
    for name in names:
        counts = sample(program, name, a.threads, a.seconds)
        total = max(1, sum(counts.values()))
        print(f"{name:<26}" + "".join(f"{100 * counts[k] / total:>11.0f}%" for k in ORDER), flush=True)


main()
