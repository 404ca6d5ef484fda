"""Figures from samples: medians over rounds, ratios and differences within a round, and the verdicts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench.contenders import PEER, Contender
from bench.measures import Plan, Results, Sample, StreamSample
from bench.wire import COMPLETION_TOKENS, PROMPT_TOKENS

DIRECT = "direct"

T = TypeVar("T", Sample, StreamSample)


@dataclass(frozen=True)
class Figures:
    """One row of the table. None: not measured, or it has no meaning for this contender."""

    name: str
    version: str
    rate: float
    times_peer: float | None
    cpu_ms_per_call: float | None
    one_median_ms: float
    added_median_ms: float | None
    added_p99_ms: float | None
    chunk_added_median_ms: float | None
    chunk_added_p99_ms: float | None
    kib_per_stream: float | None
    failures: int


@dataclass(frozen=True)
class Verdict:
    """One target of the gateway and whether this run met it."""

    target: str
    measured: str
    met: bool


def figures_of(contender: Contender, results: Results) -> Figures:
    """The medians of one contender."""
    name = contender.name
    is_direct = name == DIRECT
    many, one, streams = results.many[name], results.one[name], results.streams[name]

    def over_direct(samples: Sequence[T], base: Sequence[T], read: Callable[[T], float]) -> float | None:
        if is_direct:
            return None
        # The peer may have fewer rounds; they are the first.
        return median(read(sample) - read(other) for sample, other in zip(samples, base, strict=False))

    cpu = [sample.cpu_ms_per_call for sample in many if sample.cpu_ms_per_call is not None]
    memory = [sample.kib_per_stream for sample in streams if sample.kib_per_stream is not None]
    return Figures(
        name=name,
        version=contender.version,
        rate=median(sample.rate for sample in many),
        times_peer=None if is_direct else _times_peer(many, results.many.get(PEER)),
        cpu_ms_per_call=median(cpu) if cpu else None,
        one_median_ms=median(sample.median_ms for sample in one),
        added_median_ms=over_direct(one, results.one[DIRECT], lambda sample: sample.median_ms),
        added_p99_ms=over_direct(one, results.one[DIRECT], lambda sample: sample.p99_ms),
        chunk_added_median_ms=over_direct(streams, results.streams[DIRECT], lambda sample: sample.median_ms),
        chunk_added_p99_ms=over_direct(streams, results.streams[DIRECT], lambda sample: sample.p99_ms),
        # The first round grows the heap that later rounds find grown, so the highest counts.
        kib_per_stream=max(memory) if memory else None,
        failures=results.failures[name].total(),
    )


def _times_peer(many: Sequence[Sample], peer: Sequence[Sample] | None) -> float | None:
    if peer is None or not all(sample.rate for sample in peer):
        return None
    return median(sample.rate / other.rate for sample, other in zip(many, peer, strict=True))


def ledger_verdict(contender: Contender) -> Verdict:
    """Whether every call made has its request row, its attempt row, its end and its usage."""
    assert contender.ledger is not None
    found = contender.ledger.read()
    made = contender.calls_made
    met = found["requests"] == found["attempts"] == found["done"] == made
    met = met and found["total_tokens"] == made * (PROMPT_TOKENS + COMPLETION_TOKENS)
    measured = (
        f"{made} calls, {found['requests']} requests, {found['attempts']} attempts, {found['done']} done, "
        f"{found['total_tokens']} tokens"
    )
    return Verdict(f"{contender.name}: every call in the ledger, with its usage", measured, met)


def speed_verdicts(figures: Figures) -> list[Verdict]:
    """The gateway's targets; a figure that is missing is a target missed."""

    def verdict(target: str, value: float | None, form: str, met: Callable[[float], bool]) -> Verdict:
        measured = "not measured" if value is None else form.format(value)
        return Verdict(f"{figures.name}: {target}", measured, value is not None and met(value))

    return [
        verdict("at least 25 x LiteLLM at 64 callers", figures.times_peer, "{:.1f} x", lambda v: v >= 25),
        verdict("added median under 1.2 ms at one caller", figures.added_median_ms, "{:.2f} ms", lambda v: v < 1.2),
        verdict("median delay per chunk under 1.5 ms", figures.chunk_added_median_ms, "{:.2f} ms", lambda v: v < 1.5),
        verdict("under 48 KiB per open stream", figures.kib_per_stream, "{:.1f} KiB", lambda v: v < 48),
        verdict("no failed call", float(figures.failures), "{:.0f}", lambda v: v == 0),
    ]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def table(rows: Sequence[Figures], plan: Plan) -> str:
    """The Markdown table of all contenders."""
    header = [
        "",
        f"requests/s, {plan.many_callers} callers",
        "x LiteLLM",
        "CPU per call, ms",
        "one caller: median, ms",
        "added median, ms",
        "added p99, ms",
        f"{plan.streams} streams: added per chunk, median ms",
        "p99 ms",
        "KiB per stream",
        "failed",
    ]
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    for row in rows:
        cells = [
            f"{row.name} {row.version}".strip(),
            f"{row.rate:,.0f}",
            _cell(row.times_peer, "{:.1f}"),
            _cell(row.cpu_ms_per_call, "{:.2f}"),
            f"{row.one_median_ms:.2f}",
            _cell(row.added_median_ms, "{:.2f}"),
            _cell(row.added_p99_ms, "{:.2f}"),
            _cell(row.chunk_added_median_ms, "{:.2f}"),
            _cell(row.chunk_added_p99_ms, "{:.2f}"),
            _cell(row.kib_per_stream, "{:.1f}"),
            str(row.failures),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """The Markdown table of the targets."""
    lines = ["| target | measured | |", "| --- | --- | --- |"]
    lines += [f"| {v.target} | {v.measured} | {'pass' if v.met else 'FAIL'} |" for v in verdicts]
    return "\n".join(lines)


def noise_line(results: Results) -> str:
    """How much of the machine others used while it was measured."""
    ordered = sorted(results.foreign_cores)
    return (
        f"Other processes used {median(ordered):.2f} cores (median of the rounds; worst round {ordered[-1]:.2f}) "
        "while this was measured."
    )


def write_json(
    path: Path,
    *,
    machine: dict[str, object],
    plan: Plan,
    results: Results,
    rows: Sequence[Figures],
    verdicts: Sequence[Verdict],
) -> None:
    """Everything that was measured, round by round, for later comparison."""
    content = {
        "machine": machine,
        "plan": asdict(plan),
        "figures": [asdict(row) for row in rows],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "rounds": {
            "many": {name: [asdict(s) for s in samples] for name, samples in results.many.items()},
            "one": {name: [asdict(s) for s in samples] for name, samples in results.one.items()},
            "streams": {name: [asdict(s) for s in samples] for name, samples in results.streams.items()},
        },
        "failures": {name: dict(counter) for name, counter in results.failures.items()},
        "foreign_cores": results.foreign_cores,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
