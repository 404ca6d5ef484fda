"""`bench/run`: start the contenders, measure them in turn, print the tables, leave a JSON file."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from bench import contenders, report
from bench.contenders import BenchError, Contender
from bench.measures import FULL, QUICK, Measurement
from bench.processes import Cores
from bench.wrk import compare_with_wrk

RESULTS = Path(__file__).resolve().parent / "results"
README = Path(__file__).resolve().parent / "README.md"
RESULTS_BEGIN, RESULTS_END = "<!-- results -->", "<!-- end of results -->"
NAMES = ("nginx", "litellm", "tikhub")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 when a target was missed, 2 when it could not run."""
    parser = argparse.ArgumentParser(prog="bench/run", description="The gateway beside its peers. See bench/README.md.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, one to two minutes")
    parser.add_argument("--only", choices=NAMES, action="append", help="leave the other contenders out (repeatable)")
    parser.add_argument("--wrk", action="store_true", help="also compare the load generator with wrk, where installed")
    parser.add_argument("--save", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args(arguments)
    # SIGTERM unwinds like Ctrl-C, so that every server is ended by its context.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with ExitStack() as stack:
            return _run(options, stack)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, stack: ExitStack) -> int:
    begin = time.monotonic()
    plan = QUICK if options.quick else FULL
    cores = Cores.of_this_machine()
    if cores.generator is not None:
        os.sched_setaffinity(0, {cores.generator})
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tikhub-bench-")))
    upstream, upstream_port = stack.enter_context(contenders.fake_upstream(cores, directory))
    taking_part = _start(options.only or NAMES, upstream_port, cores, directory, stack)
    _say(f"all are up after {time.monotonic() - begin:.0f} s: " + ", ".join(c.name for c in taking_part))

    if options.wrk:
        print(compare_with_wrk(taking_part, plan, directory))
    measurement = Measurement(taking_part, plan, [os.getpid(), *upstream.pids()])
    uvloop.run(_measure(measurement))
    results = measurement.results

    rows = [report.figures_of(contender, results) for contender in taking_part]
    verdicts = []
    for contender, row in zip(taking_part, rows, strict=True):
        if contender.ledger is not None and contender.server is not None:
            verdicts += report.speed_verdicts(row)
            contender.server.stop()  # so that all that it holds is written
            verdicts.append(report.ledger_verdict(contender))
    machine = contenders.machine(cores) | {"scratch_file_system": contenders.file_system_of(directory)}
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{'-quick' if options.quick else ''}.json"
    report.write_json(path, machine=machine, plan=plan, results=results, rows=rows, verdicts=verdicts)
    summary = _summary(machine, cores, rows, verdicts, measurement)
    print(f"\n{summary}")
    if options.save:
        _save(summary)
    print(f"\n{time.monotonic() - begin:.0f} s in all; every round is in bench/results/{path.name}")
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _start(
    names: Sequence[str], upstream_port: int, cores: Cores, directory: Path, stack: ExitStack
) -> list[Contender]:
    taking_part = [contenders.direct(upstream_port)]
    if "nginx" in names:
        proxy = contenders.nginx(upstream_port, cores, directory, stack)
        if proxy is None:
            _say("nginx is not installed; its row is left out")
        else:
            taking_part.append(proxy)
    if "litellm" in names:
        _say("starting the LiteLLM proxy ...")
        taking_part.append(contenders.litellm(upstream_port, cores, directory, stack))
    if "tikhub" in names:
        taking_part.append(contenders.tikhub(upstream_port, cores, directory, stack, None))
        server_url = os.environ.get("DATABASE_URL", "")
        if server_url.startswith("postgres"):
            url = stack.enter_context(contenders.scratch_postgresql(server_url))
            taking_part.append(contenders.tikhub(upstream_port, cores, directory, stack, url))
    return taking_part


async def _measure(measurement: Measurement) -> None:
    await measurement.warm_up()
    _say("many callers ...")
    await measurement.many_callers()
    _say("one caller ...")
    await measurement.one_caller()
    _say("parallel streams ...")
    await measurement.parallel_streams()


def _summary(
    machine: dict[str, object],
    cores: Cores,
    rows: Sequence[report.Figures],
    verdicts: Sequence[report.Verdict],
    measurement: Measurement,
) -> str:
    where = "no cores reserved" if cores.gateway is None else "the contender on one core, the load on another"
    system = f"{machine['architecture']}, {machine['system']}, Python {machine['python']}"
    parts = [
        f"{machine['cores']} cores ({system}), {where}. {report.noise_line(measurement.results)}",
        "",
        report.table(rows, measurement.plan),
    ]
    if verdicts:
        parts += ["", report.verdict_table(verdicts)]
    for name, counter in measurement.results.failures.items():
        if counter:
            parts.append(f"\n{name}: " + ", ".join(f"{count} x {kind}" for kind, count in counter.items()))
    return "\n".join(parts)


def _save(summary: str) -> None:
    """Put the tables between the two marks of the README."""
    before, _, rest = README.read_text().partition(RESULTS_BEGIN)
    _, found, after = rest.partition(RESULTS_END)
    if not found:
        raise BenchError(f"bench/README.md lacks its marks {RESULTS_BEGIN} and {RESULTS_END}")
    README.write_text(f"{before}{RESULTS_BEGIN}\n\n{summary}\n\n{RESULTS_END}{after}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
