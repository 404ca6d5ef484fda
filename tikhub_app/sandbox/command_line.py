"""The sandbox's options, for ``python -m tikhub_app.sandbox`` and for the management command alike."""

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tikhub_app.sandbox.faults import DRAWN, FAULTS
from tikhub_app.sandbox.server import serve
from tikhub_app.sandbox.settings import ControlError, Controls, SandboxSettings

_LOOP_MODULE = "uvloop"  # taken where it is installed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8099, help="port to listen on, 0 for any free one (%(default)s)")
    parser.add_argument("--bill", type=Path, help="file that the bill is appended to; a temporary one when not given")
    parser.add_argument("--seed", type=int, default=0, help="decides the answers of calls without a seed (%(default)s)")
    parser.add_argument("--faults", type=float, default=0.0, metavar="RATE", help="part of the calls that meet a fault")
    parser.add_argument(
        "--fault-set",
        default="",
        metavar="NAMES",
        help=f"comma-separated faults that --faults draws from, of {', '.join(FAULTS)} (default: {', '.join(DRAWN)})",
    )
    parser.add_argument("--require-key", metavar="KEY", help="refuse calls that do not carry this key")
    parser.add_argument("--clock", type=int, metavar="SECONDS", help="fixed time for `created`, in seconds since 1970")
    parser.add_argument("--pace-ms", type=float, default=0.0, help="time between two chunks of a stream (%(default)s)")
    parser.add_argument("--first-byte-ms", type=float, default=0.0, help="time before an answer begins (%(default)s)")
    parser.add_argument("--tokens", type=int, help="length of every answer's text")
    parser.add_argument("--chunk-bytes", type=int, help="least text in one chunk; one token when not given")
    parser.add_argument("--split-bytes", type=int, help="write responses in slices of this size")
    parser.add_argument("--remember", type=int, default=500, help="how many calls /sandbox/calls shows (%(default)s)")
    parser.add_argument("--parent-pid", type=int, metavar="PID", help="stop when this process, the parent, has ended")


def read_settings(options: Mapping[str, Any]) -> SandboxSettings:
    """The settings that the parsed options ask for. Raises ControlError."""
    names = tuple(name.strip() for name in options["fault_set"].split(",") if name.strip())
    for name in names:
        if name not in FAULTS:
            raise ControlError(f"--fault-set: unknown fault '{name}'; there are {', '.join(FAULTS)}.")
    if not 0 <= options["faults"] <= 1:
        raise ControlError("--faults: the rate lies between 0 and 1.")
    return SandboxSettings(
        host=options["host"],
        port=options["port"],
        bill=options["bill"],
        seed=options["seed"],
        fault_rate=options["faults"],
        fault_set=names,
        require_key=options["require_key"],
        clock=options["clock"],
        remember=max(0, options["remember"]),
        parent_pid=options["parent_pid"],
        controls=Controls(
            pace_ms=max(0.0, options["pace_ms"]),
            first_byte_ms=max(0.0, options["first_byte_ms"]),
            tokens=options["tokens"],
            chunk_bytes=options["chunk_bytes"],
            split_bytes=options["split_bytes"],
        ),
    )


def run(settings: SandboxSettings, say: Callable[[str], None]) -> None:
    """Serve in this process until a signal ends it; ``say`` prints a line at once."""
    loop_factory = None
    if importlib.util.find_spec(_LOOP_MODULE) is not None:
        loop_factory = importlib.import_module(_LOOP_MODULE).new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(serve(settings, lambda url: say(f"sandbox ready on {url}")))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tikhub_app.sandbox", description=__doc__)
    add_arguments(parser)
    try:
        settings = read_settings(vars(parser.parse_args(arguments)))
    except ControlError as error:
        parser.error(str(error))
    run(settings, _say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
