#!/usr/bin/env python3
"""Runs the same workloads in this library and in LibTorch, in turn, and prints a table.

usage: compare.py DIR [NAME...] [--json FILE] [--compare FILE] [--threads 1,2] [--rounds 15] [--quick] [--scaling]
                  [--memory] [--peer bench_torch]

DIR is where the benchmark programs were built. Without names every workload runs. README.md has the method.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# Floating-point operations of one step, products of matrices only (two per multiply-add), convolutions by the direct
# sum. A training step has three products for each of inference, but for the input gradient of the first layer.


def conv(batch, size, kernel, channels_in, channels_out):
    return 2 * batch * size**2 * kernel**2 * channels_in * channels_out


def lstm(tokens, features, hidden, gates=4):
    return 2 * tokens * gates * hidden * (features + hidden)


MLP = 2 * (784 * 100 + 100 * 50 + 50 * 10)
CNN = conv(100, 24, 5, 1, 12) + conv(100, 8, 5, 12, 12) + 200 * (192 * 13 + 13 * 10)
LENET = conv(100, 24, 5, 1, 20) + conv(100, 8, 5, 20, 50) + 200 * (800 * 500 + 500 * 10)
RESNET18, RESNET50, GOOGLENET = 3.628e9, 8.178e9, 2.996e9  # an image of 224 x 224
INCEPTION3 = 11.426e9  # an image of 299 x 299
S2S = lstm(64 * 15, 9, 128) + lstm(64 * 16, 9, 128) + 2 * 64 * 16 * 128 * 11
LSTM2 = 2 * lstm(32 * 64, 256, 256)
GRU = lstm(32 * 64, 256, 256, 3)
LM = lstm(32 * 64, 256, 256) + 2 * 32 * 64 * 256 * 5000
ATTENTION = 2 * 64 * 64 * 256 * 2  # the scores of a sentence, and what they weigh
LAYER = 16 * (2 * 64 * (4 * 256**2 + 2 * 256 * 1024) + ATTENTION)
PACKED = sum(2 * (64 - 2 * (i // 2) * 15 // 8) for i in range(0, 32, 2))  # words
# stem, words, knowledge, and the four steps' interaction of 49 cells with each of 160 memories; vectors are left out
MAC = (conv(8, 25, 3, 3, 16) + conv(8, 13, 3, 16, 32) + conv(8, 7, 3, 32, 64) + conv(8, 7, 3, 66, 64)
       + 2 * lstm(480, 32, 64) + 2 * 480 * 128 * 64 + 2 * 2 * 8 * 49 * 64**2 + 4 * 2 * 160 * 49 * 64**2)
FLOPS = {
    "mlp_train": 100 * (3 * MLP - 2 * 784 * 100),
    "mlp_infer_1": MLP,
    "mlp_infer_100": 100 * MLP,
    "cnn_train": 3 * CNN - conv(100, 24, 5, 1, 12),
    "cnn_infer_100": CNN,
    "lenet_train": 3 * LENET - conv(100, 24, 5, 1, 20),
    # fakes 32 forward; discriminator 64 forward and weight gradients (and the last layer's input gradient);
    # generator 64: forward and input gradient of both, weight gradients of the generator
    "gan_step": 2 * (32 * (256 * 512 + 512 * 784)
                     + 64 * (2 * (784 * 512 + 512) + 512)
                     + 64 * (2 * (256 * 512 + 512 * 784) + 512 * 784 + 2 * (784 * 512 + 512))),
    # one batch of 32 for both steps, the generator run once
    "gan_step_32": 2 * (32 * (256 * 512 + 512 * 784)
                        + 64 * (2 * (784 * 512 + 512) + 512)
                        + 32 * (256 * 512 + 2 * 512 * 784 + 2 * (784 * 512 + 512))),
    "s2s_train": 3 * S2S,
    "s2s_infer": S2S,
    "lstm_train": 3 * LSTM2 - 2 * 32 * 64 * 4 * 256**2,
    "lstm_packed": 6 * lstm(PACKED, 256, 256) - 2 * PACKED * 4 * 256**2,
    "lstm_step_1": 2 * lstm(1, 256, 256),
    "gru_train": 3 * GRU - 2 * 32 * 64 * 3 * 256**2,
    "lm_train": 3 * LM,
    "transformer_train": 3 * LAYER - 2 * 16 * 64 * 3 * 256**2,
    "transformer_infer": LAYER,
    "mac_train": 3 * MAC - conv(8, 25, 3, 3, 16),
    # two products forward, five backward (the scores are computed again rather than kept)
    "attention_2048": 7 * 2 * 8 * 2048**2 * 64,
    "resnet18_infer_1": RESNET18,
    "resnet18_infer_8": 8 * RESNET18,
    "resnet18_train_8": 8 * 3 * RESNET18 - conv(8, 112, 7, 3, 64),
    "resnet50_infer_1": RESNET50,
    "resnet50_infer_8": 8 * RESNET50,
    "googlenet_infer_1": GOOGLENET,
    "inception_v3_infer_1": INCEPTION3,
    "conv_1x1": 3 * conv(8, 56, 1, 256, 64),
    "conv_3x3": 3 * conv(8, 28, 3, 128, 128),
    "conv_3x3_stride2": 3 * conv(8, 14, 3, 128, 256),
    "conv_5x5": 3 * conv(8, 28, 5, 48, 96),
    "conv_7x7_stride2": 3 * conv(8, 112, 7, 3, 64),
    "conv_depthwise": 3 * conv(8, 28, 3, 1, 192),
    "conv_groups": 3 * conv(8, 14, 3, 8, 256),
    "matmul_64": 2 * 64**3,
    "matmul_256": 2 * 256**3,
    "matmul_1024": 2 * 1024**3,
}

# The peer runs with each of these, and the fastest counts, workload by workload. What the caller's environment says
# about BLAS is dropped first: a variable that names an older processor halves LibTorch's speed.
DROPPED = ("OPENBLAS_", "GOTO_", "MKL_", "DNNL_", "ONEDNN_", "ATEN_", "OMP_", "GOMP_", "KMP_", "MALLOC_")
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "2000000000",
               "MALLOC_TOP_PAD_": "67108864"}
PEER_SETTINGS = {
    "plain": {},
    # malloc keeps freed memory: saves LibTorch the page faults of its larger temporaries
    "malloc": KEEP_MEMORY,
}
if " avx512vl " in pathlib.Path("/proc/cpuinfo").read_text():
    # without this LibTorch uses AVX2 in most element-wise operators
    PEER_SETTINGS["malloc+avx512"] = {**KEEP_MEMORY, "ATEN_CPU_CAPABILITY": "avx512"}
# Workloads with images: the fastest of these two settings of the peer's memory order counts as well.
IMAGES = ("cnn_", "lenet_", "resnet", "googlenet_", "inception_", "dcgan_", "mac_", "conv_")
CHANNELS_LAST = {"malloc+last": {**KEEP_MEMORY, "KNET_BENCH_CHANNELS_LAST": "1"}}
# Our workloads of this name are plans made by compile(); the peer runs the workload without it.
COMPILED = "_compiled"
TOLERANCE = 1e-4
PAUSE = 0.01  # seconds in which the last process's waiting threads fall asleep


def environment(threads, extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
    # Unbound, the kernel may put both threads on one processor for a while.
    env.update(OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="true", **extra)
    return env


class Server:
    """A benchmark process that runs the workload named on its standard input."""

    def __init__(self, program, threads, extra):
        self.process = subprocess.Popen([program, "--serve", "--threads", str(threads)], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=environment(threads, extra))

    def run(self, name):
        """Milliseconds per step, the check value, and whether others disturbed the measurement."""
        time.sleep(PAUSE)
        pid = self.process.pid
        begin, losses, steal = time.monotonic(), preempted(pid), stolen()
        try:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        words = self.process.stdout.readline().split()
        if len(words) != 3 or words[0] != name:
            raise RuntimeError(f"{self.process.args[0]} gave no result for {name}: {' '.join(words) or 'it ended'}")
        losses, steal, wall = preempted(pid) - losses, stolen() - steal, time.monotonic() - begin
        return float(words[1]), float(words[2]), losses > 2 + 30 * wall or steal > 0.015

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def startup(program, threads, extra):
    """Milliseconds from starting the process to the end of its first training step, and that step's loss."""
    time.sleep(PAUSE)
    steal, begin = stolen(), time.perf_counter()
    process = subprocess.Popen([program, "--first-step", "--threads", str(threads)], text=True,
                               stdout=subprocess.PIPE, env=environment(threads, extra))
    line = process.stdout.readline()
    ms = (time.perf_counter() - begin) * 1e3
    process.stdout.close()
    if process.wait() or not line:
        raise RuntimeError(f"{program} --first-step failed")
    return ms, float(line), stolen() - steal > 0.015


def preempted(pid):
    """How often the threads of a process lost their processor to somebody else."""
    total = 0
    for f in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            total += int(f.read_text().split("nonvoluntary_ctxt_switches:")[1].split()[0])
        except (OSError, IndexError):
            pass  # the thread has ended
    return total


def stolen():
    """Seconds that the hypervisor gave to others."""
    return int(pathlib.Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


class Samples:
    """Times of one side in milliseconds. Those in which others took a processor away are left out if enough are
    left without them."""

    def __init__(self):
        self.quiet, self.all = [], []

    def add(self, ms, disturbed):
        self.all.append(ms)
        if not disturbed:
            self.quiet.append(ms)

    def kept(self, rounds):
        return sorted(self.quiet if 2 * len(self.quiet) >= rounds else self.all)


def differ(a, b):
    return not abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def measure(sides, rounds, most):
    """Runs a workload on all sides in turn; sides[label]() gives (ms, check, disturbed). Up to `most` rounds are run
    to have enough that are not disturbed."""
    for f in sides.values():
        f()  # warm-up, and the caches of both
    samples = {k: Samples() for k in sides}
    checks = {}
    order = list(sides)
    for done in range(most):
        if done >= rounds and all(len(s.quiet) >= rounds for s in samples.values()):
            break
        for k in order:
            ms, checks[k], disturbed = sides[k]()
            samples[k].add(ms, disturbed)
        order.append(order.pop(0))  # so that no side always follows the same one
    return samples, checks


def peak_memory(programs, settings, names, threads):
    """A table of what a step of each workload needs at most, in MB beyond what each library needs for a small model."""
    ours, peer = programs
    ask = lambda program, name, extra: float(subprocess.run(
        [program, "--memory", name, "--threads", str(threads)], text=True, stdout=subprocess.PIPE, check=True,
        env=environment(threads, extra)).stdout)
    print(f"{'workload':26}{'threads':>8}{'ours, MB':>10}{'peer, MB':>10}  peer's setting")
    for name in names:
        mine = min(ask(ours, name, {}) for _ in range(3))
        theirs = {k: min(ask(peer, name.removesuffix(COMPILED), e) for _ in range(3))
                  for k, e in settings(name).items()} if peer else {}
        best = min(theirs, key=theirs.get) if theirs else None
        print(f"{name:26}{threads:8}{mine:10.1f}{f'{theirs[best]:10.1f}' if best else '':>10}  {best or ''}", flush=True)


def against(rows, old):
    """Prints our times beside those of an earlier --json file; how many became slower by more than a tenth."""
    before = {(r["name"], r["threads"]): r for r in json.loads(pathlib.Path(old).read_text())}
    slower = 0
    print(f"\n{'workload':26}{'threads':>8}{'before':>11}{'now':>11}{'change':>9}{'ratio before':>14}{'now':>7}")
    for r in rows:
        o = before.get((r["name"], r["threads"]))
        if o is None:
            continue
        change = r["ours_ms"] / o["ours_ms"] - 1
        # On another day the machine is another one: where there is a peer, it tells by how much.
        if r["ratio"] and o["ratio"]:
            slow = change > 0.1 and r["ratio"] < 0.9 * o["ratio"]
        else:
            slow = change > 0.1
        slower += slow
        print(f"{r['name']:26}{r['threads']:8}{short(o['ours_ms']):>11}{short(r['ours_ms']):>11}{100 * change:>+8.0f}%"
              f"{number(o['ratio']):>14}{number(r['ratio']):>7}{'  SLOWER' if slow else ''}")
    return slower


def number(x):
    return f"{x:.2f}" if x else "-"


def short(ms):
    if ms < 1e-3:
        return f"{ms * 1e6:.0f} ns"
    if ms < 1:
        return f"{ms * 1e3:.3g} us"
    return f"{ms:.3g} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compare", metavar="FILE", help="an earlier --json file; fails when a row became slower")
    parser.add_argument("--quick", action="store_true", help="two threads and five rounds, under ten minutes")
    parser.add_argument("--scaling", action="store_true", help="the rows measured at several batch sizes")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--as-installed", action="store_true", help="LibTorch with no settings of ours")
    parser.add_argument("--peer", default="bench_torch", help="another build of the peer's program in DIR")
    args = parser.parse_intermixed_args()
    if args.quick:
        args.threads, args.rounds = "2", 5
    programs = pathlib.Path(args.dir)
    ours, peer = str(programs / "bench_ours"), str(programs / args.peer)
    if not os.path.exists(ours):
        sys.exit(f"compare.py: {ours} is missing; build the target bench_ours")
    with_peer = os.path.exists(peer)
    if not with_peer:
        print(f"{args.peer} was not built (libtorch-dev was not found): only our own times follow\n")
    try:
        thread_counts = [int(t) for t in args.threads.split(",")]
        assert all(t >= 1 for t in thread_counts) and args.rounds >= 1
    except (ValueError, AssertionError):
        sys.exit("compare.py: --threads takes numbers from 1, as in 1,2, and --rounds one")

    listing = subprocess.run([ours, "--list"], text=True, stdout=subprocess.PIPE, check=True).stdout.split()
    known = listing + ["startup"]
    unknown = [n for n in args.names if n not in known]
    if unknown:
        sys.exit(f"compare.py: no workload {', '.join(unknown)}; there are {', '.join(known)}")
    names = args.names or [n for n in known if ("@" in n) == args.scaling]
    peer_title = (subprocess.run([peer, "--title"], text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
                  if with_peer else None)

    def wanted(name):
        """The peer's settings for a workload."""
        if args.as_installed:
            return {"plain": {}}
        return PEER_SETTINGS | (CHANNELS_LAST if name.startswith(IMAGES) else {})

    if args.memory:
        # Only the order of the channels matters here; a malloc that keeps memory would count against the peer.
        settings = lambda name: {k: e for k, e in wanted(name).items() if k == "plain"} | (
            {"last": {"KNET_BENCH_CHANNELS_LAST": "1"}} if name.startswith(IMAGES) else {})
        for threads in thread_counts:
            peak_memory((ours, peer if with_peer else None), settings, [n for n in names if n != "startup"], threads)
        return 0

    warnings, rows, failed = [], [], False
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > 0.3 * cores:
        warnings.append(f"the load average was {load:.2f} on {cores} processors at the start")
    if max(thread_counts) > cores:
        warnings.append(f"{max(thread_counts)} threads on {cores} processors")

    print(f"{'workload':26}{'threads':>8}{'ours':>11}{peer_title or '':>17}{'ratio':>7}{'fastest':>9}"
          f"{'GFLOP/s':>9}{'of peak':>9}{'ceiling':>9}  peer's setting")
    for threads in thread_counts:
        fma = subprocess.run([str(programs / "bench_peak"), "--fma", "--threads", str(threads)], text=True,
                             stdout=subprocess.PIPE, check=True, env=environment(threads, {})).stdout.split()
        peak = float(fma[2])
        server = Server(ours, threads, {})
        all_peers = {}

        def servers(name):
            """The peer's processes for a workload, started when they are first needed."""
            if not with_peer:
                return {}
            for k, extra in wanted(name).items():
                if k not in all_peers:
                    all_peers[k] = Server(peer, threads, extra)
            return {k: all_peers[k] for k in wanted(name)}

        for name in names:
            peers = servers(name)
            if name == "startup":
                sides = {"ours": lambda: startup(ours, threads, {})}
                sides |= {k: lambda e=PEER_SETTINGS[k]: startup(peer, threads, e) for k in peers}
            else:
                sides = {"ours": lambda: server.run(name)}
                sides |= {k: lambda s=s: s.run(name.removesuffix(COMPILED)) for k, s in peers.items()}
            samples, checks = measure(sides, args.rounds, (2 if args.quick else 3) * args.rounds)
            kept = {k: s.kept(args.rounds) for k, s in samples.items()}
            median = {k: statistics.median(v) for k, v in kept.items()}
            best = min(peers, key=median.get) if peers else None
            fastest = min(min(samples[k].all) for k in peers) / min(samples["ours"].all) if best else None
            wrong = [k for k in peers if differ(checks["ours"], checks[k])]
            ms = median["ours"]
            peer_ms = median[best] if best else None
            flops = FLOPS.get(name.removesuffix(COMPILED))
            rate = flops / ms / 1e6 if flops else None
            print(f"{name:26}{threads:8}{short(ms):>11}{short(peer_ms) if best else '':>17}"
                  f"{f'{peer_ms / ms:.2f}' if best else '':>7}{f'{fastest:.2f}' if best else '':>9}"
                  f"{f'{rate:.0f}' if rate else '-':>9}"
                  f"{f'{100 * rate / peak:.0f} %' if rate else '-':>9}"
                  f"{number(peer_ms * peak * 1e6 / flops if best and flops else None):>9}  {best or ''}", flush=True)
            rows.append({"name": name, "threads": threads, "ours_ms": ms, "peer": peer_title, "peer_ms": peer_ms,
                         "ratio": peer_ms / ms if best else None, "ratio_fastest": fastest, "gflops": rate,
                         "peak_gflops": peak})
            if wrong:
                failed = True
                print(f"  DIFFERENT RESULTS: ours {checks['ours']:.9g}, "
                      f"{peer_title} {', '.join(f'{checks[k]:.9g}' for k in wrong)}")
            for side, label in (("ours", "ours"), (best, "peer")):
                if side is None:
                    continue
                v = kept[side]
                spread = (v[3 * len(v) // 4] - v[len(v) // 4]) / median[side]
                lost = len(samples[side].all) - len(samples[side].quiet)
                if 2 * len(samples[side].quiet) < args.rounds:
                    warnings.append(f"{name}, {threads} thread(s), {label}: others took processors in {lost} of "
                                    f"{len(samples[side].all)} rounds")
                elif spread > 0.2:
                    warnings.append(f"{name}, {threads} thread(s), {label}: the middle half of the times spreads "
                                    f"over {100 * spread:.0f} % of the median")
        for s in (server, *all_peers.values()):
            s.close()
        print(f"{'machine, f32 multiply-adds':26}{threads:8}{'':44}{peak:9.0f}{'100 %':>9}", flush=True)
    if warnings:
        print("\nThe machine was not quiet; trust these figures less:")
        for w in warnings:
            print(f"  {w}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    if args.compare and against(rows, args.compare):
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compare.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
