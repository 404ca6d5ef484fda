"""What the standalone service reads from its environment, as one frozen value.

This is the only place where environment variables become settings; the app itself sees ``settings.TIKHUB``. Nothing
here imports the app, so the supervisor can use it without loading Django's applications.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

REPOSITORY = Path(__file__).resolve().parent.parent

Durability = Literal["process", "power"]

#: The shortest TIKHUB_API_KEY that is accepted: shorter ones can be guessed.
SHORTEST_API_KEY = 24


class InvalidEnvironment(ImproperlyConfigured):
    """A variable has a value that cannot be used; the message starts with the variable's name."""


@dataclass(frozen=True, slots=True)
class ProviderVariables:
    """How one provider's account is described in the environment, in the form of the provider's own SDK."""

    provider: str
    key_variable: str
    base_url_variable: str
    default_base_url: str
    sandbox_path: str
    #: Public model names, as patterns, that this provider's upstream serves.
    patterns: tuple[str, ...]
    #: Provider of an address that comes without a key; empty where there are no such servers.
    keyless_provider: str = ""


PROVIDERS: tuple[ProviderVariables, ...] = (
    # https://github.com/openai/openai-python: OPENAI_API_KEY, and OPENAI_BASE_URL with its /v1.
    ProviderVariables(
        provider="openai",
        key_variable="OPENAI_API_KEY",
        base_url_variable="OPENAI_BASE_URL",
        default_base_url="https://api.openai.com/v1",
        sandbox_path="/openai/v1",
        patterns=("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "whisper-*"),
        # Ollama, llama.cpp, vLLM.
        keyless_provider="openai_compatible",
    ),
    # https://github.com/anthropics/anthropic-sdk-python: ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL without a version.
    ProviderVariables(
        provider="anthropic",
        key_variable="ANTHROPIC_API_KEY",
        base_url_variable="ANTHROPIC_BASE_URL",
        default_base_url="https://api.anthropic.com",
        sandbox_path="/anthropic",
        patterns=("claude-*",),
    ),
    # https://github.com/googleapis/python-genai: GEMINI_API_KEY; the base URL is a host, the SDK adds the version.
    ProviderVariables(
        provider="gemini",
        key_variable="GEMINI_API_KEY",
        base_url_variable="GEMINI_BASE_URL",
        default_base_url="https://generativelanguage.googleapis.com",
        sandbox_path="/gemini",
        patterns=("gemini-*",),
    ),
)


@dataclass(frozen=True, slots=True)
class EnvironmentUpstream:
    """An upstream row that ``tikhub_setup`` creates; the credential is a reference, never the value."""

    name: str
    provider: str
    base_url: str
    #: ``env:NAME``, or empty for an upstream that asks for no key.
    credential_reference: str
    sandbox: bool
    patterns: tuple[str, ...]

    def as_setting(self) -> dict[str, Any]:
        """The form in which ``settings.TIKHUB["ENVIRONMENT_UPSTREAMS"]`` holds it."""
        return {
            "name": self.name,
            "provider": self.provider,
            "base_url": self.base_url,
            "credential": self.credential_reference,
            "is_sandbox": self.sandbox,
            "patterns": list(self.patterns),
        }


@dataclass(frozen=True, slots=True)
class Environment:
    """Every variable of the standalone service, parsed and checked."""

    host: str
    port: int
    var_dir: Path
    database_url: str
    conn_max_age_s: int
    redis_url: str
    public_url: str
    allowed_hosts: tuple[str, ...]
    debug: bool
    durability: Durability
    sandbox: bool
    sandbox_port: int
    api_key: str
    admin_password: str
    secret_key: str
    encryption_keys: tuple[str, ...]
    upstreams: tuple[EnvironmentUpstream, ...]

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Parse ``os.environ`` or any mapping like it; raises InvalidEnvironment naming the wrong variable."""
        sandbox = _flag(variables, "TIKHUB_SANDBOX")
        sandbox_port = _port(variables, "SANDBOX_PORT", 8099)
        var_dir = Path(variables.get("TIKHUB_VAR_DIR") or REPOSITORY / "var").expanduser().resolve()
        port, public_url = _port(variables, "PORT", 8000), _public_url(variables)
        own_origins = {f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if public_url:
            own_origins.add(_origin(urlsplit(public_url)))
        return cls(
            host=variables.get("HOST") or "127.0.0.1",
            port=port,
            var_dir=var_dir,
            database_url=variables.get("DATABASE_URL") or f"sqlite:///{var_dir / 'db.sqlite3'}",
            conn_max_age_s=_seconds(variables, "DATABASE_CONN_MAX_AGE", 0),
            redis_url=variables.get("REDIS_URL", ""),
            public_url=public_url,
            allowed_hosts=_words(variables, "ALLOWED_HOSTS"),
            debug=_flag(variables, "DEBUG"),
            durability=_durability(variables),
            sandbox=sandbox,
            sandbox_port=sandbox_port,
            api_key=_api_key(variables),
            admin_password=variables.get("TIKHUB_ADMIN_PASSWORD", ""),
            secret_key=variables.get("SECRET_KEY", ""),
            encryption_keys=_words(variables, "TIKHUB_ENCRYPTION_KEYS"),
            upstreams=_upstreams(variables, sandbox_port if sandbox else None, own_origins),
        )

    @property
    def local_url(self) -> str:
        """Where this machine itself reaches the service, whatever interface it listens on."""
        return f"http://{_reachable(self.host)}:{self.port}"

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def public_origin(self) -> str:
        """Scheme, host and port of PUBLIC_URL, or empty."""
        return _origin(urlsplit(self.public_url)) if self.public_url else ""

    def all_allowed_hosts(self) -> list[str]:
        """Host names that requests may carry: this machine's own, PUBLIC_URL's and the listed ones."""
        hosts = ["localhost", "127.0.0.1", "[::1]"]
        if not _is_wildcard(self.host):
            hosts.append(_bracketed(self.host))
        if self.public_url:
            hosts.append(_bracketed(urlsplit(self.public_url).hostname or ""))
        return list(dict.fromkeys([*hosts, *self.allowed_hosts]))


def _upstreams(
    variables: Mapping[str, str], sandbox_port: int | None, own_origins: set[str]
) -> tuple[EnvironmentUpstream, ...]:
    """One upstream for each provider that has a key or an address; else the sandbox, where it runs."""
    found = []
    for known in PROVIDERS:
        has_key = bool(variables.get(known.key_variable))
        base_url = (variables.get(known.base_url_variable) or "").rstrip("/")
        provider, is_sandbox = known.provider, False
        if base_url:
            _check_url(known.base_url_variable, base_url)
            if _origin(urlsplit(base_url)) in own_origins:
                # The lines that `make run` prints for callers, pasted into the shell that starts the service: they
                # point back to it, and the service would call itself for ever.
                has_key, base_url = False, ""
        if base_url and (has_key or known.keyless_provider):
            provider = known.provider if has_key else known.keyless_provider
        elif has_key:
            base_url = known.default_base_url
        elif sandbox_port is not None:
            base_url, is_sandbox = f"http://127.0.0.1:{sandbox_port}{known.sandbox_path}", True
        else:
            continue
        found.append(
            EnvironmentUpstream(
                name=f"{'sandbox' if is_sandbox else 'env'}-{known.provider}",
                provider=provider,
                base_url=base_url,
                credential_reference=f"env:{known.key_variable}" if has_key else "",
                sandbox=is_sandbox,
                patterns=known.patterns,
            )
        )
    return tuple(found)


def _flag(variables: Mapping[str, str], name: str) -> bool:
    value = variables.get(name, "").strip().lower()
    if value in {"", "0", "false", "no", "off"}:
        return False
    if value in {"1", "true", "yes", "on"}:
        return True
    raise InvalidEnvironment(f"{name} must be 1 or 0, not {value!r}")


def _port(variables: Mapping[str, str], name: str, default: int) -> int:
    value = variables.get(name) or str(default)
    if not value.isascii() or not value.isdecimal() or not 0 < int(value) < 65536:
        raise InvalidEnvironment(f"{name} must be a port number from 1 to 65535, not {value!r}")
    return int(value)


def _seconds(variables: Mapping[str, str], name: str, default: int) -> int:
    value = variables.get(name) or str(default)
    if not value.isascii() or not value.isdecimal():
        raise InvalidEnvironment(f"{name} must be a whole number of seconds, not {value!r}")
    return int(value)


def _words(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in variables.get(name, "").split(",") if word.strip())


def _durability(variables: Mapping[str, str]) -> Durability:
    value = variables.get("TIKHUB_DURABILITY") or "process"
    if value == "process":
        return "process"
    if value == "power":
        return "power"
    raise InvalidEnvironment(f"TIKHUB_DURABILITY must be 'process' or 'power', not {value!r}")


def _api_key(variables: Mapping[str, str]) -> str:
    value = variables.get("TIKHUB_API_KEY", "")
    if value and len(value) < SHORTEST_API_KEY:
        raise InvalidEnvironment(f"TIKHUB_API_KEY must have at least {SHORTEST_API_KEY} characters")
    return value


def _public_url(variables: Mapping[str, str]) -> str:
    value = (variables.get("PUBLIC_URL") or "").rstrip("/")
    if value:
        _check_url("PUBLIC_URL", value)
    return value


def _check_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise InvalidEnvironment(f"{name} is not a URL: {error}") from error
    if not usable:
        raise InvalidEnvironment(f"{name} must be an http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise InvalidEnvironment(f"{name} must not hold a user name or password")


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _reachable(host: str) -> str:
    if not _is_wildcard(host):
        return _bracketed(host)
    return "[::1]" if ":" in host else "127.0.0.1"
