"""Child processes that are kept alive: started, restarted with growing pauses when they die, and stopped in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from project.environment import REPOSITORY

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
#: A process that lived this long has started well, and its next death is treated as its first.
SETTLED_AFTER_S = 60.0

#: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One supervised process, leader of a process group of its own."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    report: Callable[[str], None]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)

    def start(self) -> None:
        # A group of its own keeps the terminal's Ctrl-C away: the supervisor alone decides who stops, and when.
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
            process_group=0,
            # Safe here, because the supervisor has one thread.
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )
        self.started_at = time.monotonic()

    def keep_alive(self) -> None:
        """Notice a death, and start the process again once its pause is over."""
        now = time.monotonic()
        if self.process is not None and self._has_ended():
            status = self._reap()
            if now - self.started_at > SETTLED_AFTER_S:
                self.pause_s = FIRST_PAUSE_S
            self.start_again_at = now + self.pause_s
            self.report(f"{self.name} ended with {status}; starting it again in {self.pause_s:g} s")
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        if self.process is None and now >= self.start_again_at:
            self.start()

    def ask_to_stop(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def has_stopped(self) -> bool:
        """Whether it has ended; nothing starts it again until ``keep_alive`` is called."""
        if self.process is not None and self._has_ended():
            self._reap()
        return self.process is None

    def kill(self) -> None:
        if self.process is not None:
            self.report(f"{self.name} did not stop in time and is killed")
            self.process.kill()
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            self._reap()

    def _has_ended(self) -> bool:
        """Whether the process has exited; it is not reaped yet, so that its group's id stays its own."""
        assert self.process is not None
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def _reap(self) -> str:
        """End what the process left behind in its group, and return how it ended."""
        assert self.process is not None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nothing is left of the group but the dead process itself
        code = self.process.wait()
        self.process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _die_with(parent: int) -> Callable[[], None]:
    """Run between fork and exec: ask the kernel for SIGTERM when the supervisor itself is killed."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def stop_all(children: Sequence[Child], within_s: float, insists: Callable[[], bool]) -> None:
    """SIGTERM to all of them together; kill those still there after ``within_s``, or as soon as ``insists`` says so."""
    until = time.monotonic() + within_s
    for child in children:
        child.ask_to_stop()
    waiting = [child for child in children if not child.has_stopped()]
    while waiting and time.monotonic() < until and not insists():
        time.sleep(0.05)
        waiting = [child for child in waiting if not child.has_stopped()]
    for child in waiting:
        child.kill()
