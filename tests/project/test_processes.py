"""Child processes: restarted when they die, leaving nothing behind, stopped in a bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from project.processes import FIRST_PAUSE_S, Child, stop_all
from tests.services import REPOSITORY

#: Starts a process of its own, as qcluster does, and names both.
WITH_OFFSPRING = """
import os, pathlib, subprocess, sys, time
offspring = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
target = pathlib.Path(sys.argv[1])
target.with_suffix(".new").write_text(f"{os.getpid()} {offspring.pid}")
target.with_suffix(".new").rename(target)
time.sleep(600)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("deaf")
time.sleep(600)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make_child(said: list[str], tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    children = []

    def make(code: str) -> Child:
        command = [sys.executable, "-c", code, str(tmp_path / "pids")]
        children.append(Child("worker", command, dict(os.environ), report=said.append))
        return children[-1]

    yield make
    for child in children:
        child.kill()


def eventually(condition: Callable[[], object], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_process_is_started_again_and_leaves_no_offspring(
    make_child: Callable[[str], Child], said: list[str], tmp_path: Path
) -> None:
    child, pids = make_child(WITH_OFFSPRING), tmp_path / "pids"
    child.keep_alive()
    eventually(pids.exists)
    leader, offspring = map(int, pids.read_text().split())
    pids.unlink()
    os.kill(leader, signal.SIGKILL)

    def started_again() -> bool:
        child.keep_alive()
        return pids.exists()

    eventually(started_again)
    assert said == [f"worker ended with SIGKILL; starting it again in {FIRST_PAUSE_S:g} s"]
    assert int(pids.read_text().split()[0]) != leader
    eventually(lambda: not is_alive(offspring))


def test_pauses_grow_while_a_process_keeps_dying(make_child: Callable[[str], Child], said: list[str]) -> None:
    child = make_child("raise SystemExit(3)")

    def died_thrice() -> bool:
        child.keep_alive()
        return len(said) == 3

    eventually(died_thrice)
    assert [line.removeprefix("worker ended with exit code 3; ") for line in said] == [
        "starting it again in 0.5 s",
        "starting it again in 1 s",
        "starting it again in 2 s",
    ]


def test_a_process_that_ignores_the_signal_is_killed_when_its_time_is_over(
    make_child: Callable[[str], Child], said: list[str], tmp_path: Path
) -> None:
    willing, deaf = make_child("import time; time.sleep(600)"), make_child(STUBBORN)
    willing.keep_alive()
    deaf.keep_alive()
    eventually((tmp_path / "pids").exists)
    stop_all([willing, deaf], within_s=0.5, insists=lambda: False)
    assert willing.has_stopped()
    assert deaf.has_stopped()
    assert said == ["worker did not stop in time and is killed"]


def test_nobody_waits_for_a_process_once_the_operator_insists(
    make_child: Callable[[str], Child], tmp_path: Path
) -> None:
    deaf = make_child(STUBBORN)
    deaf.keep_alive()
    eventually((tmp_path / "pids").exists)
    began = time.monotonic()
    stop_all([deaf], within_s=600, insists=lambda: True)
    assert deaf.has_stopped()
    assert time.monotonic() - began < 60


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, sys, time
from project.processes import Child
Child("worker", [sys.executable, "-c", {WITH_OFFSPRING!r}, {str(pids)!r}], dict(os.environ), print).keep_alive()
time.sleep(600)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    try:
        eventually(pids.exists)
    finally:
        supervisor.kill()
        supervisor.wait()
    leader, offspring = map(int, pids.read_text().split())
    try:
        eventually(lambda: not is_alive(leader))
    finally:
        os.kill(offspring, signal.SIGKILL)
