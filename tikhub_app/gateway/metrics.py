"""Counts and timings of this process's calls, cheap enough to be kept on every call, read by ``/metrics``.

A call adds to plain numbers under one lock (two to three microseconds); Prometheus families are built from them only
when somebody asks. Label values come from our own code and from the operator's tables, never from a caller: the
``model`` of tokens and cost is the price row's name. Each process counts for itself, from zero after a fork.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tikhub_app.providers.facts import Usage

#: Upper bounds in seconds. Calls take from tens of milliseconds to minutes; our own part far less.
CALL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
OVERHEAD_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
#: More label sets than this are counted together, so that no mistake can fill the memory.
MOST_LABEL_SETS = 1_000
OTHER = "other"

TOKEN_KINDS = (
    "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "audio_input",
    "output_visible", "reasoning", "audio_output",
)  # fmt: skip


class _Histogram:
    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def observe(self, milliseconds: float) -> None:
        seconds = milliseconds / 1000
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        names = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        family.add_metric(
            labels, buckets=list(zip(names, accumulate(self.counts), strict=True)), sum_value=self.total_s
        )


class _Timings:
    __slots__ = ("duration", "first_byte", "overhead")

    def __init__(self) -> None:
        self.duration = _Histogram(CALL_BUCKETS_S)
        self.first_byte = _Histogram(CALL_BUCKETS_S)
        self.overhead = _Histogram(OVERHEAD_BUCKETS_S)


class _Consumption:
    __slots__ = ("cost_pico", "tokens")

    def __init__(self) -> None:
        self.tokens = [0] * len(TOKEN_KINDS)
        self.cost_pico = 0


class CallCollector(Collector):
    """The numbers, and the metric families made of them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self._calls: dict[tuple[str, str, str, str, int], int] = {}
        self._timings: dict[tuple[str, str, str], _Timings] = {}
        self._consumption: dict[tuple[str, str], _Consumption] = {}

    def call_started(self) -> None:
        with self._lock:
            self._in_flight += 1

    def call_finished(
        self,
        *,
        dialect: str,
        operation: str,
        status: str,
        http_status: int | None,
        provider: str = "",
        duration_ms: float,
        first_byte_ms: float | None = None,
        gateway_ms: float | None = None,
        usage: Usage | None = None,
        cost_pico: int = 0,
        model: str = "",
    ) -> None:
        with self._lock:
            self._in_flight -= 1
            key = (dialect, operation, provider, status, http_status or 0)
            count = self._calls.get(key)
            if count is None and len(self._calls) >= MOST_LABEL_SETS:
                key = (OTHER, OTHER, OTHER, OTHER, 0)
                count = self._calls.get(key)
            self._calls[key] = (count or 0) + 1
            timings = self._timings.get((dialect, operation, provider))
            if timings is None:
                timings = self._timings_of((dialect, operation, provider))
            timings.duration.observe(duration_ms)
            if first_byte_ms is not None:
                timings.first_byte.observe(first_byte_ms)
            if gateway_ms is not None:
                timings.overhead.observe(gateway_ms)
            if usage is not None or cost_pico:
                self._consume(provider, model, usage, cost_pico)

    def _timings_of(self, labels: tuple[str, str, str]) -> _Timings:
        if len(self._timings) >= MOST_LABEL_SETS:
            labels = (OTHER, OTHER, OTHER)
        return self._timings.setdefault(labels, _Timings())

    def _consume(self, provider: str, model: str, usage: Usage | None, cost_pico: int) -> None:
        consumption = self._consumption.get((provider, model))
        if consumption is None:
            labels = (provider, model) if len(self._consumption) < MOST_LABEL_SETS else (OTHER, OTHER)
            consumption = self._consumption.setdefault(labels, _Consumption())
        consumption.cost_pico += cost_pico
        if usage is not None:
            tokens = consumption.tokens
            tokens[0] += usage.input_uncached
            tokens[1] += usage.cache_read
            tokens[2] += usage.cache_write_5m
            tokens[3] += usage.cache_write_1h
            tokens[4] += usage.image_input
            tokens[5] += usage.audio_input
            tokens[6] += usage.output_visible
            tokens[7] += usage.reasoning
            tokens[8] += usage.audio_output

    def collect(self) -> Iterator[Metric]:
        with self._lock:  # the families are copies, so a slow reader holds nobody up
            families = [self._in_flight_family(), self._calls_family(), *self._timing_families()]
            families += self._consumption_families()
        yield from families

    def _in_flight_family(self) -> Metric:
        return GaugeMetricFamily("tikhub_requests_in_flight", "Calls that are not over yet.", value=self._in_flight)

    def _calls_family(self) -> Metric:
        family = CounterMetricFamily(
            "tikhub_requests",
            "Calls that are over; http_status is what the caller received, 0 where nothing was sent.",
            labels=("dialect", "operation", "provider", "status", "http_status"),
        )
        for (*labels, http_status), count in self._calls.items():
            family.add_metric([*labels, str(http_status)], count)
        return family

    def _timing_families(self) -> Iterator[Metric]:
        for attribute, name, text in (
            ("duration", "tikhub_request_duration_seconds", "From the call's arrival to its end."),
            ("first_byte", "tikhub_first_byte_seconds", "From the call's arrival to the first byte of its answer."),
            ("overhead", "tikhub_gateway_overhead_seconds", "The gateway's own part of the time to the first byte."),
        ):
            family = HistogramMetricFamily(name, text, labels=("dialect", "operation", "provider"))
            for labels, timings in self._timings.items():
                getattr(timings, attribute).add_to(family, labels)
            yield family

    def _consumption_families(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "tikhub_tokens",
            "Tokens by disjoint kind; model is the price row's name.",
            labels=("provider", "model", "kind"),
        )
        cost = CounterMetricFamily("tikhub_cost_usd", "Cost in US dollars.", labels=("provider", "model"))
        for (provider, model), consumption in self._consumption.items():
            cost.add_metric([provider, model], consumption.cost_pico / 1e12)
            for kind, count in zip(TOKEN_KINDS, consumption.tokens, strict=True):
                if count:
                    tokens.add_metric([provider, model, kind], count)
        yield tokens
        yield cost


calls = CallCollector()
os.register_at_fork(after_in_child=calls.reset)

#: ``call_started()`` when a call is accepted, and exactly one ``call_finished(...)`` for it, however it ends.
call_started = calls.call_started
call_finished = calls.call_finished
