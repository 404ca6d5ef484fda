"""`bench/profile`: where the ASGI door spends its time under the benchmark's load.

By default a sampling profiler (py-spy) watches the running server from outside, so that the figures are
those of the real speed; it needs the right to trace processes (root, or a ptrace scope of 0). `--calls` runs
the server below cProfile instead: slower by half, blind for other threads, but with numbers of calls.
"""

import argparse
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench import contenders, wire
from bench.contenders import PROJECT_PYTHON, ROOT, BenchError
from bench.load import StreamLoad, call_in_closed_loop, stream_in_parallel
from bench.processes import Cores, Server, cpu_seconds, free_port

#: Serves until SIGTERM, then writes what cProfile saw of the main thread. uvicorn sends itself the signal
#: again after its shutdown, which would end the process before that; the handler set first takes it.
PROFILED_SERVER = """
import cProfile, signal, sys
import uvicorn
path, *arguments = sys.argv[1:]
signal.signal(signal.SIGTERM, lambda *_: None)
profile = cProfile.Profile()
profile.enable()
try:
    uvicorn.main(arguments, standalone_mode=False)
finally:
    profile.disable()
    profile.dump_stats(path)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile one load; returns 2 when it could not run."""
    parser = argparse.ArgumentParser(prog="bench/profile", description="Where the ASGI door spends its time.")
    parser.add_argument("--calls", action="store_true", help="cProfile with numbers of calls, instead of py-spy")
    parser.add_argument("--stream", action="store_true", help="500 streams instead of plain calls")
    parser.add_argument("--callers", type=int, default=64, help="parallel plain callers (64)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the load (10)")
    parser.add_argument("--top", type=int, default=45, help="entries in each list (45)")
    parser.add_argument("--lines", action="store_true", help="py-spy only: by line instead of by function")
    options = parser.parse_args(arguments)
    try:
        with ExitStack() as stack:
            _profile(options, stack)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


def _profile(options: argparse.Namespace, stack: ExitStack) -> None:
    cores = Cores.of_this_machine()
    if cores.generator is not None:
        os.sched_setaffinity(0, {cores.generator})
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tikhub-bench-")))
    _, upstream_port = stack.enter_context(contenders.fake_upstream(cores, directory))
    server_url = os.environ.get("DATABASE_URL", "")
    url = None
    if server_url.startswith("postgres"):
        url = stack.enter_context(contenders.scratch_postgresql(server_url))
    setup = contenders.prepare_gateway(upstream_port, directory / "tikhub", url)
    port = free_port()
    stats = directory / "calls.prof"
    module, *served = contenders.gateway_command(port)
    start = ["-c", PROFILED_SERVER, str(stats)] if options.calls else ["-m", module]
    server = stack.enter_context(
        Server(
            "TikHub",
            [str(PROJECT_PYTHON), *start, *served],
            core=cores.gateway,
            log=directory / "gateway.log",
            environment=setup.environment,
            directory=ROOT,
        )
    )
    contenders.await_chat(port, setup.key, server)
    _load(options, port, setup.key, 2.0)  # warm

    samples = directory / "stacks.txt"
    spy = None if options.calls else _start_spy(server.pid, samples, options)
    cpu, begin = cpu_seconds([server.pid]), time.monotonic()
    made, failed = _load(options, port, setup.key, options.seconds)
    passed, used = time.monotonic() - begin, cpu_seconds([server.pid]) - cpu
    print(
        f"{setup.database}: {made} calls in {passed:.1f} s, {made / passed:,.0f}/s, {failed} failed, "
        f"{used * 1000 / max(made, 1):.3f} ms of CPU each (all threads; the profiler slows it)"
    )
    if spy is None:
        server.stop()
        _print_calls(stats, options.top, made)
        return
    _, errors = spy.communicate(timeout=60)
    if spy.returncode or not samples.exists():
        raise BenchError(f"py-spy failed, try --calls:\n{errors}")
    _print_samples(samples.read_text().splitlines(), options.top)


def _load(options: argparse.Namespace, port: int, key: str, seconds: float) -> tuple[int, int]:
    """Calls made and calls failed."""
    if options.stream:
        pace = wire.Pace(max(2, int(seconds / 0.25)), 250)
        load = StreamLoad(500, pace.chunks, 2.0, seconds * 3 + 20)
        streams = uvloop.run(stream_in_parallel(port, wire.stream_call(port, key, pace), load))
        return streams.made, streams.failures.total()
    plain = uvloop.run(call_in_closed_loop(port, wire.plain_call(port, key), callers=options.callers, seconds=seconds))
    return plain.made, plain.failures.total()


def _start_spy(pid: int, samples: Path, options: argparse.Namespace) -> "subprocess.Popen[str]":
    """py-spy over the middle of the load: it looks 250 times a second and counts only threads that run."""
    binary = Path(sys.executable).parent / "py-spy"
    command = [str(binary), "record", "--pid", str(pid), "--rate", "250", "--format", "raw", "--threads"]
    command += ["--duration", str(max(1, int(options.seconds))), "--output", str(samples)]
    if not options.lines:
        command.append("--function")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


#: Frames in which a thread only waits; py-spy cannot always tell (in a container, say).
WAITING = ("Condition.wait (", "Event.wait (", "_worker (concurrent", "Thread._wait_for_tstate_lock (")


def _print_samples(lines: Iterable[str], top: int) -> None:
    """Shares of each thread's samples: in the frame itself, and in it or below it."""
    own: dict[str, Counter[str]] = {}
    below: dict[str, Counter[str]] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if not frames or frames[-1].startswith(WAITING):
            continue
        own.setdefault(thread, Counter())[frames[-1]] += int(count)
        below.setdefault(thread, Counter()).update(dict.fromkeys(set(frames), int(count)))
    total = sum(counter.total() for counter in own.values()) or 1
    for thread, counter in sorted(own.items(), key=lambda item: -item[1].total()):
        samples = counter.total()
        if samples * 100 < total:
            continue
        print(f"\n{thread}: {100 * samples / total:.1f} % of all samples\n  self %   frame")
        for frame, seen in counter.most_common(top):
            print(f"  {100 * seen / samples:6.1f}   {frame}")
        print("  total %  frame")
        for frame, seen in below[thread].most_common(top):
            print(f"  {100 * seen / samples:6.1f}   {frame}")


def _print_calls(path: Path, top: int, made: int) -> None:
    if not path.exists():
        raise BenchError("the server left no profile")
    stats = pstats.Stats(str(path))
    stats.strip_dirs()
    print(f"Divide by about {made} for figures of one call (start-up and warm-up are in them as well).")
    stats.sort_stats("tottime").print_stats(top)
    stats.sort_stats("cumulative").print_stats(top)


if __name__ == "__main__":
    raise SystemExit(main())
