"""The sandbox as a process: how it starts, how many it serves, how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.sandbox.raw_http import open_call, post
from tikhub_app.sandbox.process import SandboxProcess

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_a_signal_with_streams_open(
    tmp_path: Path, request_body: dict[str, Any], number: signal.Signals
) -> None:
    path = tmp_path / "bill.jsonl"
    body = request_body | {"stream": True, "sandbox": {"tokens": 1000, "pace_ms": 50}}
    with SandboxProcess(bill=path) as sandbox, open_call(f"{sandbox.openai_url}/chat/completions", body) as stream:
        assert stream.recv(4096).startswith(b"HTTP/1.1 200 OK")
        os.kill(sandbox.pid, number)
        began = time.monotonic()
        assert sandbox.stop() == 0
        assert time.monotonic() - began < 8
    assert b'"outcome":"server_stopped"' in path.read_bytes()


def test_the_management_command_serves_and_says_where(request_body: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "django", "tikhub_sandbox", "--port", "0", "--parent-pid", str(os.getpid())]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode().strip()
        assert line.startswith("sandbox ready on http://127.0.0.1:")
        url = line.removeprefix("sandbox ready on ")
        assert post(f"{url}/openai/v1/chat/completions", request_body).status == 200
        process.terminate()
        assert process.wait(10) == 0


def test_it_runs_where_django_cannot_be_imported() -> None:
    script = (
        "import sys\n"
        "sys.modules['django'] = None\n"
        "import tikhub_app.sandbox.command_line, tikhub_app.sandbox.process\n"
        "others = {name.split('.')[1] for name in sys.modules if name.startswith('tikhub_app.')}\n"
        "sys.exit(str(others) if others != {'sandbox'} else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


def test_it_does_not_outlive_a_killed_parent() -> None:
    script = (
        "import time\n"
        "from tikhub_app.sandbox.process import SandboxProcess\n"
        "sandbox = SandboxProcess().start()\n"
        "print(sandbox.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 8
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_wrong_options_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "tikhub_app.sandbox", "--faults", "0.1", "--fault-set", "earthquake"]
    assert subprocess.run(command, check=False, cwd=REPOSITORY).returncode == 2
    assert "unknown fault 'earthquake'" in capfd.readouterr().err


def test_five_hundred_slow_streams_run_side_by_side(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    body = request_body | {"stream": True, "sandbox": {"tokens": 12, "pace_ms": 100}}
    most_open = 0

    async def one(session: aiohttp.ClientSession) -> int:
        async with session.post(f"{sandbox.openai_url}/chat/completions", json=body) as response:
            return (await response.read()).count(b"data: ")

    async def watch(session: aiohttp.ClientSession) -> None:
        nonlocal most_open
        while True:
            async with session.get(f"{sandbox.base_url}/sandbox/calls?limit=0") as response:
                most_open = max(most_open, (await response.json())["open"])
            await asyncio.sleep(0.1)

    async def everything() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            watcher = asyncio.create_task(watch(session))
            counts = await asyncio.gather(*(one(session) for _ in range(500)))
            watcher.cancel()
            return counts

    assert asyncio.run(everything()) == [15] * 500  # role, twelve tokens, closing, [DONE]
    assert most_open > 400
    assert [line["completion_tokens"] for line in sandbox.bill()] == [12] * 500
