"""The measures: rounds in turn over all contenders, so that a busy minute of the machine hits all alike."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench import wire
from bench.contenders import PEER, Contender
from bench.load import StreamLoad, call_in_closed_loop, stream_in_parallel
from bench.processes import cpu_seconds, machine_busy_seconds, resident_kib


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    many_callers: int
    many_seconds: float
    one_seconds: float
    stream_rounds: int
    #: For the peer, whose stream rounds are long because it falls behind.
    peer_stream_rounds: int
    streams: int
    pace: wire.Pace
    ramp_seconds: float
    pause_seconds: float = 0.3


FULL = Plan(5, 64, 4.0, 3.0, 3, 1, 500, wire.Pace(40, 250), 2.0)
QUICK = Plan(2, 64, 2.0, 1.5, 1, 1, 500, wire.Pace(20, 250), 2.0)


@dataclass
class Sample:
    """One round of one contender."""

    rate: float = 0.0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_ms_per_call: float | None = None


@dataclass
class StreamSample:
    """One round of parallel streams through one contender; memory is per open stream."""

    median_ms: float = 0.0
    p99_ms: float = 0.0
    kib_per_stream: float | None = None
    most_open: int = 0
    cpu_share: float | None = None


@dataclass
class Results:
    """All samples by contender, in the order of the rounds; what went wrong; how busy others were."""

    many: dict[str, list[Sample]] = field(default_factory=dict)
    one: dict[str, list[Sample]] = field(default_factory=dict)
    streams: dict[str, list[StreamSample]] = field(default_factory=dict)
    failures: dict[str, Counter[str]] = field(default_factory=dict)
    #: Cores' worth of CPU that processes outside the run used, by round.
    foreign_cores: list[float] = field(default_factory=list)


@dataclass
class _Cpu:
    seconds: float = 0.0
    share: float = 0.0


class Measurement:
    """One run over the contenders; `results` fills up round by round."""

    def __init__(self, contenders: Sequence[Contender], plan: Plan, own_pids: Sequence[int]) -> None:
        self._contenders = contenders
        self.plan = plan
        self._own_pids = [*own_pids, *(pid for contender in contenders for pid in contender.pids)]
        self.results = Results(failures={contender.name: Counter() for contender in contenders})

    @contextmanager
    def _cpu_of(self, contender: Contender) -> Iterator[_Cpu]:
        """CPU time of the contender in the block; notes what others used meanwhile."""
        cpu = _Cpu()
        begin = time.monotonic()
        busy, own, its = machine_busy_seconds(), cpu_seconds(self._own_pids), cpu_seconds(contender.pids)
        yield cpu
        passed = time.monotonic() - begin
        cpu.seconds = cpu_seconds(contender.pids) - its
        cpu.share = cpu.seconds / passed
        foreign = (machine_busy_seconds() - busy) - (cpu_seconds(self._own_pids) - own)
        self.results.foreign_cores.append(max(0.0, foreign / passed))

    def _in_turn(self, round_number: int) -> list[Contender]:
        """The contenders, beginning with another one in each round."""
        start = round_number % len(self._contenders)
        return [*self._contenders[start:], *self._contenders[:start]]

    async def warm_up(self) -> None:
        """Fill pools, caches and heaps with the same kinds of calls; nothing of it is kept."""
        plan = self.plan
        for contender in self._contenders:
            plain = wire.plain_call(contender.port, contender.key)
            warm = await call_in_closed_loop(contender.port, plain, callers=plan.many_callers, seconds=1.5)
            streamed = wire.stream_call(contender.port, contender.key, wire.Pace(3, 5))
            load = StreamLoad(plan.many_callers, 3, 0.2, 60.0)
            warm_streams = await stream_in_parallel(contender.port, streamed, load)
            contender.calls_made += warm.made + warm_streams.made
            self.results.failures[contender.name].update(warm.failures + warm_streams.failures)

    async def many_callers(self) -> None:
        """Plain chat, `many_callers` at once, each over one connection."""
        await self._plain_rounds(self.results.many, self.plan.many_callers, self.plan.many_seconds)

    async def one_caller(self) -> None:
        """Plain chat, one call after the other."""
        await self._plain_rounds(self.results.one, 1, self.plan.one_seconds)

    async def _plain_rounds(self, samples: dict[str, list[Sample]], callers: int, seconds: float) -> None:
        for round_number in range(self.plan.rounds):
            for contender in self._in_turn(round_number):
                call = wire.plain_call(contender.port, contender.key)
                with self._cpu_of(contender) as cpu:
                    round_ = await call_in_closed_loop(contender.port, call, callers=callers, seconds=seconds)
                contender.calls_made += round_.made
                self.results.failures[contender.name].update(round_.failures)
                latencies = sorted(round_.latencies_ns) or [0]
                samples.setdefault(contender.name, []).append(
                    Sample(
                        round_.per_second,
                        median(latencies) / 1e6,
                        percentile(latencies, 0.99) / 1e6,
                        cpu.seconds * 1000 / round_.made if contender.pids else None,
                    )
                )
                time.sleep(self.plan.pause_seconds)  # noqa: ASYNC251 - nothing else runs on this loop

    async def parallel_streams(self) -> None:
        """Slow streams at once; memory is the resident size with the most of them open, over that just before."""
        plan = self.plan
        nominal = plan.ramp_seconds + plan.pace.chunks * plan.pace.interval_ms / 1000
        load = StreamLoad(plan.streams, plan.pace.chunks, plan.ramp_seconds, nominal * 3 + 20)
        for round_number in range(plan.stream_rounds):
            for contender in self._in_turn(round_number):
                if contender.name == PEER and round_number >= plan.peer_stream_rounds:
                    continue
                await self._stream_round(contender, load)
                time.sleep(plan.pause_seconds)  # noqa: ASYNC251 - nothing else runs on this loop

    async def _stream_round(self, contender: Contender, load: StreamLoad) -> None:
        call = wire.stream_call(contender.port, contender.key, self.plan.pace)
        idle_kib = resident_kib(contender.pids)
        seen: list[tuple[int, int]] = [(0, idle_kib)]
        with self._cpu_of(contender) as cpu:
            round_ = await stream_in_parallel(
                contender.port, call, load, lambda is_open: seen.append((is_open, resident_kib(contender.pids)))
            )
        most_open, peak_kib = max(seen)  # the highest of the sizes that were seen with the most open
        contender.calls_made += round_.made
        self.results.failures[contender.name].update(round_.failures)
        delays = sorted(round_.delays_ns) or [0]
        self.results.streams.setdefault(contender.name, []).append(
            StreamSample(
                median(delays) / 1e6,
                percentile(delays, 0.99) / 1e6,
                (peak_kib - idle_kib) / most_open if contender.pids and most_open else None,
                most_open,
                cpu.share if contender.pids else None,
            )
        )


def percentile(ordered: Sequence[int], share: float) -> float:
    """The value below which `share` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
