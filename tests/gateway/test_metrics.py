"""Metrics count what happened, with labels that callers cannot multiply."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tikhub_app.gateway import metrics
from tikhub_app.gateway.metrics import CallCollector
from tikhub_app.providers.facts import Usage

CALL: dict[str, Any] = {
    "dialect": "openai_chat", "operation": "chat", "provider": "openai", "status": "done", "http_status": 200,
    "duration_ms": 800.0,
}  # fmt: skip
LABELS = {"dialect": "openai_chat", "operation": "chat", "provider": "openai"}


@pytest.fixture
def collector() -> CallCollector:
    return CallCollector()


@pytest.fixture
def registry(collector: CallCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def test_a_call_is_in_flight_until_it_is_finished(collector: CallCollector, registry: CollectorRegistry) -> None:
    collector.call_started()
    collector.call_started()
    collector.call_finished(**CALL)
    assert registry.get_sample_value("tikhub_requests_in_flight") == 1
    assert registry.get_sample_value(
        "tikhub_requests_total", {**LABELS, "status": "done", "http_status": "200"}
    ) == 1  # fmt: skip


def test_times_fall_into_cumulative_buckets_in_seconds(collector: CallCollector, registry: CollectorRegistry) -> None:
    for duration_ms in (40.0, 50.0, 800.0, 700_000.0):
        collector.call_finished(**{**CALL, "duration_ms": duration_ms}, first_byte_ms=30.0, gateway_ms=0.8)

    def bucket(bound: str) -> float | None:
        return registry.get_sample_value("tikhub_request_duration_seconds_bucket", {**LABELS, "le": bound})

    assert (bucket("0.05"), bucket("0.5"), bucket("1.0"), bucket("600.0"), bucket("+Inf")) == (2, 2, 3, 3, 4)
    assert registry.get_sample_value("tikhub_request_duration_seconds_sum", LABELS) == pytest.approx(700.89)
    assert registry.get_sample_value("tikhub_first_byte_seconds_count", LABELS) == 4
    assert registry.get_sample_value("tikhub_gateway_overhead_seconds_bucket", {**LABELS, "le": "0.001"}) == 4


def test_tokens_and_cost_are_counted_by_the_price_rows_name(
    collector: CallCollector, registry: CollectorRegistry
) -> None:
    for _ in range(3):
        collector.call_finished(
            **CALL, usage=Usage(input_uncached=7, cache_read=2, reasoning=5), cost_pico=250_000_000_000, model="gpt-4o*"
        )
    labels = {"provider": "openai", "model": "gpt-4o*"}
    tokens = {
        kind: registry.get_sample_value("tikhub_tokens_total", {**labels, "kind": kind}) for kind in metrics.TOKEN_KINDS
    }
    assert {kind: count for kind, count in tokens.items() if count} == {
        "input_uncached": 21,
        "cache_read": 6,
        "reasoning": 15,
    }
    assert registry.get_sample_value("tikhub_cost_usd_total", labels) == pytest.approx(0.75)


def test_label_sets_beyond_the_bound_are_counted_together(
    collector: CallCollector, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_LABEL_SETS", 3)
    for number in range(50):
        collector.call_finished(
            **{**CALL, "operation": f"made-up-{number}"}, usage=Usage(input_uncached=1), model=str(number)
        )
    families = {family.name: family for family in registry.collect()}
    requests = [sample for sample in families["tikhub_requests"].samples if sample.name == "tikhub_requests_total"]
    assert len(requests) == 4
    assert sum(sample.value for sample in requests) == 50
    assert len({sample.labels["model"] for sample in families["tikhub_tokens"].samples}) == 4


def test_no_count_is_lost_between_threads(collector: CallCollector, registry: CollectorRegistry) -> None:
    def work() -> None:
        for _ in range(2_000):
            collector.call_started()
            collector.call_finished(**CALL)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("tikhub_requests_in_flight") == 0
    assert registry.get_sample_value("tikhub_request_duration_seconds_count", LABELS) == 8_000


# Python 3.12 warns of forks beside threads, which is what servers do and what is tested.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_counts_from_zero() -> None:
    metrics.call_started()
    try:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(metrics.calls._in_flight).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 10) == b"0"
    finally:
        metrics.calls.reset()
