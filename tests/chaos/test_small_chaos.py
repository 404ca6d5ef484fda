"""The chaos run at a tenth of its size, on each database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.launch import run_trial


@pytest.mark.slow
def test_every_line_of_the_bill_joins_one_attempt_although_processes_are_killed(
    database_url: str, tmp_path: Path
) -> None:
    report = run_trial(database_url, tmp_path / "chaos", calls=300, kills=2, parallel=48, seed=7)

    assert report["violations"] == []
    assert report["calls"] == 300
    assert report["kills"] == 2
    assert report["joined"] == report["bill lines"] > 200
    assert report["lost"] == report["doubled"] == 0
    assert report["closed by reconcile"]["requests"] > 0
