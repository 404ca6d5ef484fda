"""UUIDs of version 7 and the public ids made of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine

from tikhub_app.models import first_uuid_at, identifiers, parse_public_id, public_id, uuid7


def test_ids_of_one_process_rise_strictly_across_threads_and_clock_steps() -> None:
    made: list[UUID] = []
    lock = threading.Lock()

    def make() -> None:
        for _ in range(2_000):
            with lock:
                made.append(uuid7())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1), tick=False):
        made.append(uuid7())

    assert made == sorted(set(made))
    assert {identifier.version for identifier in made} == {7}


def test_a_range_of_time_is_a_range_of_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ids of a process only ever rise; the ones of later tests shall not begin in that year.
    monkeypatch.setattr(identifiers, "_last_ms", 0)
    moment = datetime(2099, 5, 4, 3, 2, 1, tzinfo=UTC)
    with time_machine.travel(moment, tick=False):
        identifier = uuid7()

    assert first_uuid_at(moment) <= identifier < first_uuid_at(moment + timedelta(milliseconds=50))


def test_public_ids_can_be_read_back() -> None:
    identifier = uuid7()

    assert public_id("req", identifier) == f"req_{identifier.hex}"
    assert parse_public_id("req", f"req_{identifier.hex}") == identifier
    assert parse_public_id("req", str(identifier)) == identifier


@pytest.mark.parametrize("text", ["", "req_", "req_12", "att_018f", "nonsense"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert parse_public_id("req", text) is None
