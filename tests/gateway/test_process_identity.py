"""Whether another process still runs: judged by its birth, not by its number alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tikhub_app.gateway import process_identity
from tikhub_app.gateway.process_identity import birth_marker, hostname, is_alive

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_this_process_and_a_child_are_alive(child: subprocess.Popen[bytes]) -> None:
    assert is_alive(hostname(), os.getpid(), birth_marker()) is True
    assert is_alive(hostname(), child.pid, birth_marker(child.pid)) is True
    assert len(birth_marker()) <= 60


def test_a_killed_process_is_dead_even_before_its_parent_has_noticed(child: subprocess.Popen[bytes]) -> None:
    birth = birth_marker(child.pid)

    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(hostname(), child.pid, birth) is False
    assert birth_marker(child.pid) == ""

    child.wait()
    assert is_alive(hostname(), child.pid, birth) is False


def test_a_number_that_is_used_again_is_another_process() -> None:
    place, _, start = birth_marker().rpartition(":")

    assert is_alive(hostname(), os.getpid(), f"{place}:{int(start) - 1}") is False


def test_other_machines_boots_and_containers_cannot_be_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    birth = birth_marker()
    boot, namespace, start = birth.split(":")

    assert is_alive("elsewhere", os.getpid(), birth) is None
    assert is_alive(hostname(), os.getpid(), f"{boot}:1{namespace}:{start}") is None
    assert is_alive(hostname(), os.getpid(), f"another-boot:{namespace}:{start}") is None
    assert is_alive(hostname(), os.getpid(), "") is None
    monkeypatch.setattr(process_identity, "PROC", tmp_path)
    assert birth_marker() == ""
    assert is_alive(hostname(), os.getpid(), birth) is None
