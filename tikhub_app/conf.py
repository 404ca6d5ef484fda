"""The only reader of ``settings.TIKHUB``.

Every setting is a typed property of :data:`settings` with its default here; ``tikhub_app.checks`` says which values
are wrong before the first call does. Values are read when asked for and kept until Django reports a changed setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from tikhub_app.exceptions import ConfigurationError

PayloadPolicyName = Literal["full", "redacted", "none"]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """All settings with their defaults; sizes in bytes, times in seconds."""

    #: Database alias that holds the gateway's tables.
    DATABASE: str = "default"
    #: Fernet keys (newest first) that encrypt upstream credentials. Needed as soon as a credential is typed in.
    ENCRYPTION_KEYS: tuple[str, ...] = ()
    #: Environment variables that an upstream's credential may name with ``env:NAME`` (patterns). Without such a list,
    #: whoever may edit upstreams could have any variable of the process, its secrets too, sent to a host of theirs.
    CREDENTIAL_VARIABLES: tuple[str, ...] = ("*_API_KEY", "*_ACCESS_KEY", "KLING_SECRET_KEY", "TIKHUB_UPSTREAM_KEY")
    #: "process": rows survive the death of any process. "power": SQLite also waits for the disk (synchronous=FULL).
    DURABILITY: Literal["process", "power"] = "process"
    #: What is kept of prompts and answers when a key does not say: "full", "redacted" (texts replaced by their
    #: length), "none".
    PAYLOAD_POLICY: PayloadPolicyName = "full"
    PAYLOAD_MAX_BYTES: int = 1024 * 1024
    PAYLOAD_RETENTION_DAYS: int | None = 30
    REQUEST_RETENTION_DAYS: int | None = None
    #: Largest request body and header block accepted on gateway paths.
    MAX_BODY_BYTES: int = 64 * 1024 * 1024
    MAX_HEADER_BYTES: int = 32 * 1024
    #: Largest answer read whole (not streamed), and largest single event of a stream.
    MAX_RESPONSE_BYTES: int = 128 * 1024 * 1024
    MAX_EVENT_BYTES: int = 32 * 1024 * 1024
    #: How many candidates one call may try.
    MAX_ATTEMPTS: int = 3
    #: When the caller leaves a stream: "cancel" the upstream call, or "drain" it for exact usage.
    ON_CLIENT_GONE: Literal["cancel", "drain"] = "cancel"
    DRAIN_SECONDS: float = 30.0
    #: How long a call waits for its ledger rows before it is refused with 503 and nothing is sent.
    LEDGER_TIMEOUT_S: float = 2.0
    #: How often every process asks for a newer configuration, and how old it may be before calls are refused.
    CONFIG_POLL_S: float = 0.5
    CONFIG_MAX_AGE_S: float = 5.0
    #: A process whose heartbeat is older than this is dead; its open rows are closed by tikhub_reconcile.
    PROCESS_STALE_S: float = 30.0
    #: Where callers and vendors reach this service; used for links and callbacks.
    PUBLIC_URL: str = ""
    #: Whether this deployment runs the sandbox upstream (demo). `check --deploy` fails on it.
    SANDBOX: bool = False
    #: Who may read /api/schema/ and /api/docs/ (True: everybody), and /metrics (False: loopback and management keys).
    SCHEMA_PUBLIC: bool = True
    METRICS_PUBLIC: bool = False
    #: Path prefix under which the ASGI door was mounted, compared with the URLconf by a system check.
    ASGI_PREFIX: str | None = None
    #: Upstream rows that the standalone service derives from its environment; read by tikhub_setup.
    ENVIRONMENT_UPSTREAMS: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    #: Value of a gateway key that tikhub_setup creates (TIKHUB_API_KEY of the standalone service).
    FIRST_KEY: str = ""


class LazySettings:
    """Attribute access to :class:`GatewaySettings`, built from ``settings.TIKHUB`` on first use."""

    _loaded: GatewaySettings | None = None

    def _load(self) -> GatewaySettings:
        given = dict(getattr(django_settings, "TIKHUB", {}))
        known = {item.name for item in fields(GatewaySettings)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ConfigurationError(f"settings.TIKHUB has unknown names: {', '.join(unknown)}")
        for name in ("ENCRYPTION_KEYS", "CREDENTIAL_VARIABLES", "ENVIRONMENT_UPSTREAMS"):
            if name in given:
                given[name] = tuple(given[name])
        return GatewaySettings(**given)

    @property
    def current(self) -> GatewaySettings:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def clear(self) -> None:
        self.__dict__.clear()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self.current, name)
        self.__dict__[name] = value  # the next look finds it without coming here
        return value


settings: Any = LazySettings()


def _forget_on_change(*, setting: str, **_: object) -> None:
    if setting == "TIKHUB":
        settings.clear()


setting_changed.connect(_forget_on_change)
