"""Which process this is, told so that another one can find out whether it still runs.

A process id alone proves nothing: ids are used again, and in a container everybody is process 1. The birth marker
therefore holds the boot of the machine, the space in which the process id counts, and the moment of the start.
https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

PROC = Path("/proc")

#: Fields after the command name, which stands in brackets and may hold blanks and brackets itself.
_STATE, _START_TIME = 0, 19
#: A killed process stays in the table as a zombie until its parent asks for its exit code.
_DEAD_STATES = frozenset("ZXx")


def hostname() -> str:
    """Name of the machine or container."""
    return socket.gethostname()


def birth_marker(pid: int | None = None) -> str:
    """``boot_id:pid_namespace:start_time`` of a running process, by default this one; ``""`` where it cannot be read.

    At most 60 characters.
    """
    fields = _stat_fields(os.getpid() if pid is None else pid)
    place = _place()
    if fields is None or not place or fields[_STATE] in _DEAD_STATES:
        return ""
    return f"{place}:{fields[_START_TIME]}"


def is_alive(host: str, pid: int, birth: str) -> bool | None:
    """Whether the process with this marker still runs; None where that cannot be told from here.

    It cannot be told for another machine, for a container with process ids of its own, for an earlier boot under the
    same host name (which may be another machine of that name), and without ``/proc``.
    """
    place = _place()
    if host != hostname() or not birth or not place or birth.rpartition(":")[0] != place:
        return None
    fields = _stat_fields(pid)
    if fields is not None:
        return fields[_STATE] not in _DEAD_STATES and birth == f"{place}:{fields[_START_TIME]}"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return None
    # It runs, but another user's processes are hidden from us (hidepid).
    return None


def _place() -> str:
    """The boot, and the process id namespace in it."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (PROC / "self/ns/pid").readlink().name
    except OSError:
        return ""
    return f"{boot}:{namespace.removeprefix('pid:[').removesuffix(']')}"


def _stat_fields(pid: int) -> list[str] | None:
    try:
        line = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return line.rpartition(")")[2].split()
