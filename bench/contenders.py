"""Who takes part: nobody (direct), nginx, the LiteLLM proxy and the gateway, each as its makers would run it.

Every contender is one process on one core (nginx: one worker), forwards to the same fake upstream with
connections that are kept alive, and writes no access log.
"""

import http.client
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from bench import wire
from bench.processes import Cores, Server, free_port

ROOT = Path(__file__).resolve().parent.parent
PROJECT_PYTHON = ROOT / ".venv" / "bin" / "python"
START_SECONDS = 180.0


#: The contender that the others are compared with.
PEER = "LiteLLM"


class BenchError(Exception):
    """The run cannot go on; the message says what is missing."""


@dataclass
class Contender:
    """One column of the table: where it listens, the key it wants, its processes (None: direct)."""

    name: str
    version: str
    port: int
    key: str
    server: Server | None
    pids: list[int]
    #: Calls that were sent to it, warm-up included; compared with the gateway's ledger.
    calls_made: int = 0
    ledger: "Ledger | None" = None


@dataclass
class Ledger:
    """The gateway's books, read after its end through its own models."""

    environment: dict[str, str]
    database: str

    def read(self) -> dict[str, int]:
        """Rows of requests and attempts, how many ended well, and the tokens that they hold."""
        output = _manage(self.environment, "shell", "-c", LEDGER_QUESTION)
        answer: dict[str, int] = json.loads(output.strip().splitlines()[-1])
        return answer


LEDGER_QUESTION = """
import json
from django.db.models import Sum
from tikhub_app.models import Attempt, CallStatus, GatewayRequest
requests = GatewayRequest.objects
print(json.dumps({
    "requests": requests.count(),
    "attempts": Attempt.objects.count(),
    "done": requests.filter(status=CallStatus.DONE).count(),
    "total_tokens": requests.aggregate(tokens=Sum("total_tokens"))["tokens"] or 0,
}))
"""


def await_chat(port: int, key: str, server: Server) -> None:
    """Return when a plain chat is answered rightly; raise BenchError with the log's end if it never is."""
    deadline = time.monotonic() + START_SECONDS
    last = "no answer"
    call = wire.plain_call(port, key).request.partition(b"\r\n\r\n")[2]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    while time.monotonic() < deadline and server.is_alive:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", wire.CHAT_PATH, call, headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            last = repr(error)
        else:
            if answer.status == 200:
                _check_whole(server.name, body)
                return
            last = f"{answer.status} {body[:300]!r}"
        finally:
            connection.close()
        time.sleep(0.2)
    raise BenchError(f"{server.name} does not answer a chat: {last}\n{server.log_tail()}")


def _check_whole(name: str, body: bytes) -> None:
    completion = json.loads(body)
    text = completion["choices"][0]["message"]["content"]
    if text != wire.ANSWER_TEXT or completion["usage"]["prompt_tokens"] != wire.PROMPT_TOKENS:
        raise BenchError(f"{name} changes the answer: {body[:500]!r}")


@contextmanager
def fake_upstream(cores: Cores, directory: Path) -> Iterator[tuple[Server, int]]:
    """Start the fake upstream; gives its process and its port."""
    command = [sys.executable, "-m", "bench.upstream"]
    with Server(
        "fake upstream",
        command,
        core=cores.upstream,
        log=directory / "upstream.log",
        directory=ROOT,
        pipe_output=True,
    ) as server:
        line = server.output.readline()
        if not line.strip():
            raise BenchError(f"the fake upstream does not start:\n{server.log_tail()}")
        yield server, int(line)


def direct(upstream_port: int) -> Contender:
    """The fake upstream itself: what every added figure is measured against."""
    return Contender("direct", "", upstream_port, "no-key-needed", None, [])


NGINX_CONF = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_buffer_size 64k;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    upstream fake {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def nginx(upstream_port: int, cores: Cores, directory: Path, stack: ExitStack) -> Contender | None:
    """nginx as a bare reverse proxy: the floor. None where it is not installed."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        return None
    port = free_port()
    home = directory / "nginx"
    home.mkdir()
    conf = home / "nginx.conf"
    conf.write_text(NGINX_CONF.format(directory=home, port=port, upstream_port=upstream_port), "ascii")
    log = home / "nginx.log"
    command = [binary, "-p", str(home), "-c", str(conf), "-e", str(log)]
    server = stack.enter_context(Server("nginx", command, core=cores.gateway, log=log))
    await_chat(port, "no-key-needed", server)
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True)
    number = said.stderr.partition("nginx/")[2].split()[0]
    return Contender("nginx", number, port, "no-key-needed", server, server.pids())


# Its makers' production settings (https://docs.litellm.ai/docs/proxy/prod) without a database: one
# worker, a master key, no verbose or JSON logs, a request timeout; no callbacks, cache or retries.
LITELLM_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream_port}/v1
      api_key: bench
litellm_settings:
  request_timeout: 600
  set_verbose: false
  json_logs: false
  num_retries: 0
general_settings:
  master_key: {key}
"""

#: Logs for errors only, the bundled tables instead of downloads, no pages beside the API.
LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
    "DO_NOT_TRACK": "1",
}


def litellm(upstream_port: int, cores: Cores, directory: Path, stack: ExitStack) -> Contender:
    """The LiteLLM proxy in its stateless mode."""
    home = directory / "litellm"
    home.mkdir()
    key = "sk-" + secrets.token_hex(16)
    port = free_port()
    config = home / "config.yaml"
    config.write_text(LITELLM_CONFIG.format(model=wire.MODEL, upstream_port=upstream_port, key=key), "ascii")
    binaries = Path(sys.executable).parent
    command = [str(binaries / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    environment = _plain_environment() | LITELLM_ENVIRONMENT | {"HOME": str(home)}
    environment["PATH"] = f"{binaries}:{environment['PATH']}"
    server = stack.enter_context(
        Server(
            PEER,
            command,
            core=cores.gateway,
            log=home / "litellm.log",
            environment=environment,
            directory=home,
        )
    )
    await_chat(port, key, server)
    return Contender(PEER, version("litellm"), port, key, server, server.pids())


def _plain_environment() -> dict[str, str]:
    """The least a process needs: no credential and no setting of the user reaches a contender."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ}


@dataclass(frozen=True)
class GatewaySetup:
    """The gateway's own database and directory, ready to be served."""

    environment: dict[str, str]
    key: str
    database: str


def prepare_gateway(upstream_port: int, directory: Path, database_url: str | None) -> GatewaySetup:
    """Migrate and set up the gateway as an operator would, with every setting at its default."""
    if not PROJECT_PYTHON.exists():
        raise BenchError("the project's environment is missing: run `make run` or `make test` once")
    directory.mkdir()
    key = "bench-" + secrets.token_hex(24)
    environment = _plain_environment() | {
        "HOME": str(directory),
        "TIKHUB_VAR_DIR": str(directory),
        "DATABASE_URL": database_url or f"sqlite:///{directory / 'bench.sqlite3'}",
        "TIKHUB_API_KEY": key,
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
    }
    _manage(environment, "migrate", "--verbosity", "0")
    _manage(environment, "tikhub_setup")
    return GatewaySetup(environment, key, "PostgreSQL" if database_url else "SQLite")


def gateway_command(port: int) -> list[str]:
    """How the gateway's ASGI door is served, without the interpreter: one uvicorn process."""
    return [
        *("uvicorn", "project.asgi:application", "--host", "127.0.0.1", "--port", str(port)),
        *("--no-access-log", "--loop", "uvloop", "--http", "httptools"),
    ]


def tikhub(upstream_port: int, cores: Cores, directory: Path, stack: ExitStack, database_url: str | None) -> Contender:
    """The gateway's ASGI door with keys, ledger and usage, on SQLite or on `database_url`."""
    database = "PostgreSQL" if database_url else "SQLite"
    home = directory / f"tikhub-{database.lower()}"
    setup = prepare_gateway(upstream_port, home, database_url)
    port = free_port()
    server = stack.enter_context(
        Server(
            f"TikHub ({database})",
            [str(PROJECT_PYTHON), "-m", *gateway_command(port)],
            core=cores.gateway,
            log=home / "gateway.log",
            environment=setup.environment,
            directory=ROOT,
        )
    )
    await_chat(port, setup.key, server)
    ledger = Ledger(setup.environment, database)
    said = _manage(setup.environment, "shell", "-c", "import tikhub_app; print(tikhub_app.__version__)")
    number = said.strip().splitlines()[-1]
    contender = Contender(server.name, number, port, setup.key, server, server.pids(), ledger=ledger)
    contender.calls_made = 1  # the chat that showed it ready
    return contender


def _manage(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [str(PROJECT_PYTHON), "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"manage.py {arguments[0]} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@contextmanager
def scratch_postgresql(server_url: str) -> Iterator[str]:
    """A new database on the server of `server_url`, dropped at the end; gives its URL."""
    name = f"tikhub_bench_{os.getpid()}"
    _psycopg(server_url, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        _psycopg(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _psycopg(url: str, statement: str) -> None:
    code = "import sys, psycopg\nwith psycopg.connect(sys.argv[1], autocommit=True) as c: c.execute(sys.argv[2])"
    command = [str(PROJECT_PYTHON), "-c", code, url, statement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchError(f"DATABASE_URL is not usable: {done.stderr.strip().splitlines()[-1]}")


def machine(cores: Cores) -> dict[str, object]:
    """The machine in general words."""
    return {
        "cores": cores.count,
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def file_system_of(directory: Path) -> str:
    """The type of the file system below `directory`: on tmpfs, no commit waits for a disk."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, type_, *_ = line.split()
        if len(mount) > len(best) and str(directory.resolve()).startswith(mount):
            best, kind = mount, type_
    return kind
