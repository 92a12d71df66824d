#!/usr/bin/env python3
"""Where the time of each workload goes, sampled with perf after it has warmed up.

usage: where.py DIR [NAME...] [--threads 2] [--seconds 2]

DIR is where the benchmark programs were built; perf comes with Debian's linux-perf. Prints percent of all threads' time:
products (micro-kernels and dot products, and what walks over their tiles), packing, convolution (kernels of their own and
transforms), pools, sequence (gates, attention beside its products), elements (elementwise, rows, normalisation, copies),
update (optimisers), waiting (for other threads), other (tape, tensors, the system).
"""
import argparse
import pathlib
import re
import subprocess
import tempfile

import compare

# The first that fits.
KINDS = {
    "waiting": r"detail::parallel\b|Pool::start|Pieces::|sched_yield|futex",
    "packing": r"pack_|lay_along",
    "products": r"micro<|dots<|dot_tile|dot_block|run_tiles|run_runs|store_part|long_row|add_rows|kernel_for",
    "convolution": r"few::|sparse::|depth::|winograd::|by_lines|by_rows|gather<|conv",
    "pools": r"pooling::|pool",
    "sequence": r"lstm|gru|forward_rows|backward_rows|exponentials|[aA]ttention|recurrent|rnn",
    "update": r"update",
    "elements": r"cpu_impl|Lines<|memmove|memset|memcpy|fill|column_sums|index_",
    "other": r"",
}
COLUMNS = ["products", "packing", "convolution", "pools", "sequence", "elements", "update", "waiting", "other"]


def kind(symbol):
    return next(name for name, pattern in KINDS.items() if re.search(pattern, symbol))


def sample(program, name, threads, seconds):
    """How many samples there are of each kind."""
    server = compare.Server(program, threads, {})
    with tempfile.TemporaryDirectory() as folder:
        data = str(pathlib.Path(folder) / "perf.data")
        for _ in range(3):
            server.run(name)
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", data, "-p",
                                 str(server.process.pid), "--", "sleep", str(seconds)], stderr=subprocess.DEVNULL)
        while perf.poll() is None:
            server.run(name)
        server.close()
        lines = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], capture_output=True, text=True,
                               check=True).stdout.splitlines()
    counts = dict.fromkeys(COLUMNS, 0)
    for line in lines:
        counts[kind(line.strip().partition(" ")[2])] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR", type=pathlib.Path)
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    a = parser.parse_args()
    program = str(a.dir / "bench_ours")
    names = a.names or subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    print(f"{'workload':<26}" + "".join(f"{k:>12}" for k in COLUMNS))
    for name in names:
        counts = sample(program, name, a.threads, a.seconds)
        total = max(1, sum(counts.values()))
        print(f"{name:<26}" + "".join(f"{100 * counts[k] / total:>11.0f}%" for k in COLUMNS), flush=True)


main()
