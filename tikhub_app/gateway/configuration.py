"""This process's view of keys, upstreams, routes and prices, and the thread that keeps it no older than a second.

The thread asks for the number in ``ConfigVersion`` twice a second. When it has changed, upstreams, routes and prices
are read anew into an immutable :class:`Snapshot` and every cached key is read again, so that a warm call needs no
database at all. When no answer came for ``CONFIG_MAX_AGE_S``, calls are refused rather than decided on an old view.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from django.db import DatabaseError, InterfaceError, connections

from tikhub_app.conf import settings
from tikhub_app.exceptions import ServiceUnavailable
from tikhub_app.gateway.snapshot import Snapshot, load_snapshot
from tikhub_app.models import ApiKey, ConfigVersion, KeyScope
from tikhub_app.signals import configuration_changed

logger = logging.getLogger(__name__)

MOST_CACHED_KEYS = 20_000
MOST_UNKNOWN_KEYS = 4_096
FIRST_LOAD_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: one API key, its owner, and what they may do."""

    key_id: int
    prefix: str
    owner_id: int | None
    scope: str
    allowed_models: tuple[str, ...]
    allowed_operations: frozenset[str]
    payload_policy: str
    expires_at: float | None
    is_revoked: bool
    #: Names already found to be allowed; a warm call does not match patterns again.
    known_models: set[str] = field(default_factory=set, compare=False, hash=False, repr=False)

    @classmethod
    def of(cls, key: ApiKey) -> Principal:
        expires: datetime | None = key.expires_at
        return cls(
            key_id=key.pk,
            prefix=key.prefix,
            owner_id=key.owner_id,
            scope=key.scope,
            allowed_models=tuple(key.allowed_models),
            allowed_operations=frozenset(key.allowed_operations),
            payload_policy=key.payload_policy,
            expires_at=expires.timestamp() if expires is not None else None,
            is_revoked=key.revoked_at is not None,
        )

    @property
    def may_call(self) -> bool:
        return self.scope == KeyScope.GATEWAY


class ConfigurationStore:
    """One per process; started by the first call, started anew after a fork."""

    def __init__(self) -> None:
        self._start_lock = threading.Lock()
        self._cache_lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._loaded = threading.Event()
        self._snapshot: Snapshot | None = None
        self._fresh_at = 0.0
        self._generation = 0
        self._principals: dict[str, Principal] = {}
        self._unknown: dict[str, None] = {}

    def forget_parent(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._start_lock = threading.Lock()
        self._cache_lock = threading.Lock()
        self._reset()

    # Reading: warm calls use only these two, which neither wait nor query.

    def snapshot(self) -> Snapshot | None:
        """The current view, or None when this process has none yet.

        :raises ServiceUnavailable: the view is too old to decide on.
        """
        if self._snapshot is None:
            return None
        if time.monotonic() - self._fresh_at > settings.CONFIG_MAX_AGE_S:
            raise ServiceUnavailable(
                "The gateway cannot read its configuration at the moment.", code="configuration_stale", retry_after_s=1
            )
        return self._snapshot

    def cached_principal(self, key_hash: str) -> Principal | Literal[False] | None:
        """The principal of a key hash, None for one known to be unknown, False when the database must be asked."""
        found = self._principals.get(key_hash)
        if found is not None:
            return found
        return None if key_hash in self._unknown else False

    # Cold paths.

    async def open(self) -> Snapshot:
        """The current view, loading it first when need be (in a thread)."""
        found = self.snapshot()
        if found is None:
            await asyncio.to_thread(self.ensure_started)
            found = self.snapshot()
        if found is None:
            raise ServiceUnavailable(
                "The gateway cannot read its configuration at the moment.", code="configuration_stale", retry_after_s=1
            )
        return found

    def ensure_started(self) -> None:
        """Start the thread and wait for its first view, up to five seconds."""
        with self._start_lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._run, name="tikhub-configuration", daemon=True)
                self._thread.start()
        self._loaded.wait(FIRST_LOAD_S)

    async def find_principal(self, key_hash: str) -> Principal | None:
        """Ask the database for a key, and keep the answer."""
        return await asyncio.to_thread(self._find_principal, key_hash)

    def _find_principal(self, key_hash: str) -> Principal | None:
        generation = self._generation
        alias = settings.DATABASE
        try:
            key = ApiKey.all_rows().using(alias).filter(key_hash=key_hash).first()
        except (DatabaseError, InterfaceError) as error:
            raise ServiceUnavailable(
                "The gateway cannot read its keys at the moment.", code="configuration_stale", retry_after_s=1
            ) from error
        finally:
            connections[alias].close()
        principal = Principal.of(key) if key is not None else None
        with self._cache_lock:
            if generation == self._generation:  # else a change came between: the answer may be old, do not keep it
                if principal is None:
                    self._keep(self._unknown, key_hash, None, MOST_UNKNOWN_KEYS)
                else:
                    self._keep(self._principals, key_hash, principal, MOST_CACHED_KEYS)
        return principal

    @staticmethod
    def _keep(cache: dict[str, T], key_hash: str, value: T, most: int) -> None:
        while len(cache) >= most:
            cache.pop(next(iter(cache)), None)  # the oldest entry
        cache[key_hash] = value

    def age_s(self) -> float | None:
        """Seconds since the database last confirmed the view; None before the first time."""
        if self._snapshot is None:
            return None
        return time.monotonic() - self._fresh_at

    def refresh(self) -> None:
        """Ask now rather than at the next tick."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread (tests, and servers that shut down)."""
        thread = self._thread
        self._stopping = True
        self._wake.set()
        if thread is not None:
            thread.join(timeout=5)
        self._reset()

    # The thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._poll()
                self._wake.wait(settings.CONFIG_POLL_S)
                self._wake.clear()
        finally:
            connections[settings.DATABASE].close()

    def _poll(self) -> None:
        alias = settings.DATABASE
        asked_at = time.monotonic()
        try:
            version = ConfigVersion.objects.using(alias).filter(pk=1).values_list("version", flat=True).first() or 0
            if self._snapshot is None or version != self._snapshot.version:
                self._load(version, alias)
            self._fresh_at = asked_at
            self._loaded.set()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The configuration could not be read: %s", type(error).__name__)
            connections[alias].close()

    def _load(self, version: int, alias: str) -> None:
        snapshot = load_snapshot(version, alias)
        with self._cache_lock:
            self._generation += 1
            hashes = list(self._principals)
        renewed: dict[str, Principal] = {}
        for start in range(0, len(hashes), 500):
            rows = ApiKey.all_rows().using(alias).filter(key_hash__in=hashes[start : start + 500])
            renewed.update({key.key_hash: Principal.of(key) for key in rows})
        self._principals = renewed
        self._unknown = {}
        self._snapshot = snapshot
        configuration_changed.send(sender=type(self), version=version)


store = ConfigurationStore()
os.register_at_fork(after_in_child=store.forget_parent)
