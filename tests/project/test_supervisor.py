"""``make run`` without make: the real processes, on free ports, in a directory of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.services import REPOSITORY, find_free_port

#: What the test's own process may have set and a fresh machine has not.
NOT_INHERITED = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "PUBLIC_URL",
    "HOST",
    "ALLOWED_HOSTS",
    "DJANGO_SETTINGS_MODULE",
)
READY = "TikHub AI Gateway is ready"


@dataclass
class Service:
    """One supervisor with everything it started."""

    directory: Path
    port: int = field(default_factory=find_free_port)
    sandbox_port: int = field(default_factory=find_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return (self.directory / "printed").read_text()

    def start(self, **variables: str) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in NOT_INHERITED and not name.startswith(("TIKHUB_", "OPENAI_", "ANTHROPIC_", "GEMINI_"))
        }
        with (self.directory / "printed").open("wb") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "project.supervisor"],
                cwd=REPOSITORY,
                env=inherited
                | {
                    "PORT": str(self.port),
                    "SANDBOX_PORT": str(self.sandbox_port),
                    "TIKHUB_SANDBOX": "1",
                    "TIKHUB_VAR_DIR": str(self.directory / "var"),
                }
                | variables,
                stdout=printed,
                stderr=subprocess.STDOUT,
                # A shell's background job ignores Ctrl-C, and its children do so too.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def start_and_wait(self) -> str:
        """What was printed until the service was ready."""
        self.start()
        self.wait_until(lambda: READY in self.printed and "Hello" in self.printed)
        return self.printed

    def wait_until(self, condition: Callable[[], object], within_s: float = 90) -> None:
        assert self.process is not None
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def children(self) -> dict[str, int]:
        """Process ids of the supervisor's own children, by their part."""
        assert self.process is not None
        parts = {"uvicorn": "web", "qcluster": "worker", "tikhub_app.sandbox": "sandbox"}
        found = {}
        for child in offspring(self.process.pid, deep=False):
            command = Path(f"/proc/{child}/cmdline").read_text()
            found.update({part: child for word, part in parts.items() if word in command})
        return found

    def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


def offspring(parent: int, *, deep: bool = True) -> list[int]:
    try:
        children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [pid for child in children if deep for pid in offspring(child)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    if service.process is not None and service.process.poll() is None:
        started = [service.process.pid, *offspring(service.process.pid)]
        for pid in started:
            os.kill(pid, signal.SIGKILL)
        service.process.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_serves_restarts_what_dies_stops_whole_and_starts_again_with_what_it_has(service: Service) -> None:
    printed = service.start_and_wait()
    (password,) = re.findall(r"user admin, password (\S+) \(shown this once\)", printed)
    (key,) = re.findall(r"^export OPENAI_API_KEY=(sk-tkh-\S+)$", printed, flags=re.MULTILINE)
    assert f"export OPENAI_BASE_URL={service.url}/v1\n" in printed
    assert f"{service.url}/admin/" in printed

    var = service.directory / "var"
    assert (var / "gateway-key").read_text().strip() == key
    assert {path.name for path in var.iterdir() if path.is_file()} >= {"db.sqlite3", "secret-key", "encryption-keys"}
    for name in ("secret-key", "encryption-keys", "gateway-key"):
        assert stat.S_IMODE((var / name).stat().st_mode) == 0o600
        assert password not in (var / name).read_text()

    call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(
        f"{service.url}/v1/chat/completions", json=call, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["role"] == "assistant"
    assert answer.headers["x-tikhub-sandbox"] == "1"
    assert can_sign_in(service.url, password)
    assert is_styled(service.url)
    for path in ("/v1beta/models", "/v1/chat/completions", "/nowhere"):
        requests.get(f"{service.url}{path}?key=planted-in-the-query", timeout=30)
    assert "planted-in-the-query" not in service.printed

    first = service.children()
    assert set(first) == {"web", "worker", "sandbox"}
    os.kill(first["web"], signal.SIGKILL)
    service.wait_until(lambda: service.children().get("web", first["web"]) != first["web"] and service.is_ready())
    assert "web ended with SIGKILL; starting it again" in service.printed
    assert {name: pid for name, pid in service.children().items() if name != "web"} == {
        name: pid for name, pid in first.items() if name != "web"
    }

    assert service.process is not None
    everything = offspring(service.process.pid)
    assert len(everything) > len(first)
    assert service.stop(signal.SIGTERM) == 0
    assert [pid for pid in everything if Path(f"/proc/{pid}").exists()] == []

    printed = service.start_and_wait()
    assert f"export OPENAI_API_KEY={key}\n" in printed
    assert "password as before" in printed
    assert password not in printed
    assert service.stop(signal.SIGINT) == 0


def can_sign_in(url: str, password: str) -> bool:
    session = requests.Session()
    session.get(f"{url}/admin/login/", timeout=30)
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": session.cookies["tikhub_csrf"]}
    session.post(f"{url}/admin/login/?next=/admin/", data=form, timeout=30)
    console = session.get(f"{url}/admin/", timeout=30, allow_redirects=False)
    return console.status_code == 200


def is_styled(url: str) -> bool:
    """Whether the sign-in page's style sheets are served."""
    sheets = re.findall(r'href="(/static/[^"]+\.css)"', requests.get(f"{url}/admin/login/", timeout=30).text)
    return bool(sheets) and all(requests.get(url + sheet, timeout=30).status_code == 200 for sheet in sheets)


def test_a_password_is_told_even_when_it_is_stopped_before_it_could_greet(service: Service) -> None:
    service.start()
    service.wait_until(lambda: (service.directory / "var" / "db.sqlite3").exists())
    assert service.stop(signal.SIGTERM) == 0
    assert READY not in service.printed
    assert re.search(r"user admin was made with the password \S{12,}\n", service.printed)


@pytest.mark.parametrize(("variable", "of"), [("PORT", "port"), ("SANDBOX_PORT", "sandbox_port")])
def test_a_taken_port_is_refused_by_its_variables_name_before_anything_is_made(
    service: Service, variable: str, of: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        setattr(service, of, taken.getsockname()[1])
        service.start()
        assert service.process is not None
        assert service.process.wait(timeout=60) == 1
    assert re.search(rf"cannot listen on 127\.0\.0\.1 port \d+ .* {variable}=", service.printed)
    assert [path.name for path in (service.directory / "var").iterdir()] == ["supervisor.lock"]


def test_a_wrong_variable_is_one_line_and_no_traceback(service: Service) -> None:
    service.port = 70000
    service.start()
    assert service.process is not None
    assert service.process.wait(timeout=60) == 1
    assert service.printed == "tikhub: PORT must be a port number from 1 to 65535, not '70000'\n"


def test_a_database_that_does_not_answer_is_named_without_a_traceback(service: Service) -> None:
    nobody = find_free_port()
    service.start(DATABASE_URL=f"postgresql://postgres@127.0.0.1:{nobody}/gateway")
    assert service.process is not None
    assert service.process.wait(timeout=60) == 1
    assert "DATABASE_URL cannot be reached" in service.printed
    assert "Traceback" not in service.printed
