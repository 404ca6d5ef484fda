"""The load generator beside wrk, on the same call: a check that it measures what wrk would."""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import wire
from bench.contenders import BenchError, Contender
from bench.load import call_in_closed_loop
from bench.measures import Plan


def compare_with_wrk(contenders: Sequence[Contender], plan: Plan, directory: Path) -> str:
    """Requests/s of each contender by both generators, in turn, as a Markdown table.

    The calls that wrk makes are counted like all others, except those that it cuts off at its end; a
    contender with a ledger is therefore left out.
    """
    binary = shutil.which("wrk")
    if binary is None:
        raise BenchError("wrk is not installed")
    seconds = max(6.0, plan.many_seconds)  # wrk cuts off the last wave of a slow server's answers
    lines = ["| | bench, requests/s | wrk, requests/s |", "| --- | ---: | ---: |"]
    for contender in contenders:
        if contender.ledger is not None:
            continue
        call = wire.plain_call(contender.port, contender.key)
        own = uvloop.run(call_in_closed_loop(contender.port, call, callers=plan.many_callers, seconds=seconds))
        rate = _wrk_rate(binary, contender, plan.many_callers, seconds, directory)
        time.sleep(2)  # the server may still answer calls that wrk has left
        lines.append(f"| {contender.name} | {own.per_second:,.0f} | {rate:,.0f} |")
    return "\n".join(lines)


def _wrk_rate(binary: str, contender: Contender, callers: int, seconds: float, directory: Path) -> float:
    request_head, _, body = wire.plain_call(contender.port, contender.key).request.partition(b"\r\n\r\n")
    script = directory / "post.lua"
    headers = (line.split(": ", 1) for line in request_head.decode().split("\r\n")[1:])
    script.write_text(
        'wrk.method = "POST"\n'
        + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers if name != "Content-Length")
        + f"wrk.body = [==[{body.decode()}]==]\n"
    )
    command = [
        binary,
        "-t1",
        f"-c{callers}",
        f"-d{seconds:.0f}s",
        "--timeout",
        "60s",
        "-s",
        str(script),
    ]
    # The generator's core is inherited from this process.
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{contender.port}{wire.CHAT_PATH}"], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise BenchError(f"wrk saw errors from {contender.name}:\n{done.stdout}")
    found = re.search(r"Requests/sec: +([\d.]+)", done.stdout)
    if found is None:
        raise BenchError(f"wrk printed no rate:\n{done.stdout}")
    return float(found[1])
