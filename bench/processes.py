"""Servers as child processes: started on a core, watched through /proc, ended by their own id."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Cores:
    """Which cores the gateway under test, the fake upstream and the generator may use. None: any."""

    count: int
    gateway: int | None
    upstream: int | None
    generator: int | None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The gateway has a core to itself wherever there are two; the rest share what is left."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return cls(len(cores), None, None, None)
        return cls(len(cores), cores[0], cores[1], cores[2] if len(cores) > 2 else cores[1])


def _before_exec(core: int | None) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        # If the run itself is killed, its servers get a SIGTERM from the kernel.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare


class Server(AbstractContextManager["Server"]):
    """One server process and its children, in a process group of their own.

    Leaving the context sends SIGTERM, waits 15 s and then kills that group. Output goes to `log`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        pipe_output: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._core = core
        self._environment = environment
        self._directory = directory
        self._pipe_output = pipe_output
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._pipe_output else log,
                stderr=log,
                env=None if self._environment is None else dict(self._environment),
                cwd=self._directory,
                start_new_session=True,
                preexec_fn=_before_exec(self._core),
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                print(f"{self.name} ignored SIGTERM for 15 s; killed.", file=sys.stderr)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # children that outlived it, if any
        except ProcessLookupError:
            pass
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def output(self) -> IO[bytes]:
        """What the process prints; it must have been started with `pipe_output`."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def pids(self) -> list[int]:
        """The process and its descendants."""
        found = [self.pid]
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                fields = _stat_fields(int(entry.name))
                if fields:
                    parents[int(entry.name)] = int(fields[1])
        for pid in found:
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def log_tail(self) -> str:
        """The last lines of its log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, or [] when the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes, all threads."""
    stats = (_stat_fields(pid) for pid in pids)
    return sum(int(f[11]) + int(f[12]) for f in stats if f) / TICKS_PER_SECOND


def resident_kib(pids: Sequence[int]) -> int:
    """Resident memory of the processes, from /proc/PID/statm."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def machine_busy_seconds() -> float:
    """CPU time that all cores together have spent busy since boot, stolen time included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
