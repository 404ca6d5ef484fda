"""The loop behind synchronous callers: one per process, its own after a fork, gone with the process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.services import REPOSITORY
from tikhub_app.gateway.portal import Portal


async def nothing() -> None: ...


async def running_loop() -> int:
    return id(asyncio.get_running_loop())


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def portal() -> Iterator[Portal]:
    portal = Portal(nothing)
    yield portal
    portal.stop()


def test_all_threads_share_one_loop(portal: Portal) -> None:
    loops: list[int] = []
    threads = [threading.Thread(target=lambda: loops.append(portal.call(running_loop))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 4
    assert len(set(loops)) == 1


def test_what_a_call_raises_is_raised_in_its_thread(portal: Portal) -> None:
    async def fail() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        portal.call(fail)
    assert portal.call(running_loop)


def test_stopping_ends_what_runs_and_a_later_call_starts_anew(portal: Portal) -> None:
    ended: list[BaseException] = []

    def call() -> None:
        try:
            portal.call(wait_for_ever)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what the test looks at
            ended.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    deadline = time.monotonic() + 5
    while portal.call(_tasks) < 2:
        assert time.monotonic() < deadline
    portal.stop()
    waiting.join(5)
    assert len(ended) == 1
    assert portal.call(running_loop)


async def _tasks() -> int:
    """Tasks that wait on the loop, the portal's own and this one left out."""
    return len(asyncio.all_tasks()) - 1


FORKING = """
import os
import django
django.setup()
from tests.gateway.test_portal import running_loop
from tikhub_app.gateway.portal import portal

portal.call(running_loop)
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print("parent", portal.call(running_loop) != 0, "child", os.waitstatus_to_exitcode(status))
else:
    portal.call(running_loop)
"""


def test_a_forked_process_has_a_loop_of_its_own_and_ends() -> None:
    """In a process of its own, which also has to end although the portal's thread runs."""
    run = subprocess.run(
        [sys.executable, "-c", FORKING],
        cwd=REPOSITORY,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "parent True child 0\n"), run.stderr
