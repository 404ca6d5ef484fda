"""The README's sessions, pasted as they stand into a shell that has the lines which ``make run`` prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.project.test_supervisor import Service, offspring
from tests.services import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="ends processes by way of /proc")]

README = (REPOSITORY / "README.md").read_text()
CALLS = README.partition("## Call it")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", CALLS, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a fresh ``make run`` prints, while it runs."""
    service = Service(tmp_path_factory.mktemp("readme"))
    try:
        yield service.start_and_wait()
    finally:
        if service.process is not None and service.process.poll() is None:
            started = offspring(service.process.pid)
            service.process.terminate()
            service.process.wait(60)
            assert not [pid for pid in started if os.path.exists(f"/proc/{pid}")]


@pytest.fixture(scope="module")
def exported(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^export (OPENAI_\w+)=(\S+)$", printed, flags=re.MULTILINE))


@pytest.mark.parametrize("session", blocks("python"))
def test_a_python_session_answers(session: str, exported: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", session], env=os.environ | exported, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "sandbox" in done.stdout


def test_the_curl_sessions_answer_and_all_calls_are_in_the_ledger(printed: str, exported: dict[str, str]) -> None:
    lines_printed = re.findall(r"^curl .*$", printed, flags=re.MULTILINE)
    sessions = [*blocks("sh"), *lines_printed]
    assert len(sessions) == 2
    for session in sessions:
        done = subprocess.run(
            ["bash", "-c", session.replace("curl", "curl -sS -i", 1)],
            env=os.environ | exported,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "200 OK" in done.stdout, done.stdout + done.stderr
        assert "x-tikhub-sandbox: 1" in done.stdout
        assert re.search(r"x-request-id: req_[0-9a-f]{32}", done.stdout)


def test_a_wrong_key_gets_a_clear_answer(exported: dict[str, str]) -> None:
    answer = requests.post(
        exported["OPENAI_BASE_URL"] + "/chat/completions",
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        headers={"Authorization": "Bearer sk-tkh-wrong"},
        timeout=30,
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["x-should-retry"] == "false"
