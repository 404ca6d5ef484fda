"""A process's view of keys and routes: never older than a second, never stale in a cache, and without queries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.gateway.server import eventually
from tikhub_app.exceptions import AuthenticationFailed, ServiceUnavailable
from tikhub_app.gateway import configuration
from tikhub_app.gateway.access import authenticate
from tikhub_app.gateway.configuration import ConfigurationStore, Principal
from tikhub_app.models import ApiKey, Route, Upstream, key_format

QUICK = override_settings(TIKHUB={"CONFIG_POLL_S": 0.05, "CONFIG_MAX_AGE_S": 0.5})


@pytest.fixture
def store(transactional_db: None) -> Iterator[ConfigurationStore]:
    """A store whose thread was not started: it looks when it is told to."""
    store = ConfigurationStore()
    yield store
    store.stop()


@pytest.fixture
def running(store: ConfigurationStore) -> ConfigurationStore:
    store.ensure_started()
    assert store.snapshot() is not None
    return store


def who(store: ConfigurationStore, secret: str) -> Principal:
    return asyncio.run(authenticate(store, {"x-api-key": secret}, {}))


def is_refused(store: ConfigurationStore, secret: str) -> bool:
    try:
        who(store, secret)
    except AuthenticationFailed:
        return True
    return False


def an_account() -> Upstream:
    return Upstream.objects.create(name="one", provider="openai_compatible", base_url="http://127.0.0.1:9/v1")


def test_a_revocation_is_seen_within_a_second(running: ConfigurationStore) -> None:
    key, secret = ApiKey.issue(name="tests")
    assert who(running, secret).key_id == key.pk
    key.revoke()
    began = time.monotonic()
    eventually(lambda: is_refused(running, secret), within_s=5)
    # Half a second between two looks leaves as much for the machine.
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    "change",
    [
        lambda key: ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now()),
        lambda key: key.delete(),
        lambda key: ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda key: ApiKey.objects.filter(pk=key.pk).update(key_hash="0" * 64),
    ],
    ids=["revoked in bulk", "deleted", "expired", "another key now"],
)
def test_every_way_to_withdraw_a_key_reaches_the_cache(
    store: ConfigurationStore, change: Callable[[ApiKey], object]
) -> None:
    key, secret = ApiKey.issue(name="tests")
    store._poll()
    who(store, secret)
    change(key)
    store._poll()
    assert is_refused(store, secret)


def test_a_key_that_was_unknown_works_once_it_is_made(store: ConfigurationStore) -> None:
    secret = key_format.generate()
    store._poll()
    assert is_refused(store, secret)
    ApiKey.issue(secret=secret, name="tests")
    assert is_refused(store, secret)  # until the next look
    store._poll()
    assert who(store, secret).scope == "gateway"


def test_an_answer_that_a_change_overtook_is_not_kept(
    store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is read, then revoked, then the revocation is seen, and only then would the old reading be kept."""
    key, secret = ApiKey.issue(name="tests")
    store._poll()
    real = Principal.of

    def overtaken(row: ApiKey) -> Principal:
        monkeypatch.setattr(Principal, "of", real)
        key.revoke()
        store._poll()
        return real(row)

    monkeypatch.setattr(Principal, "of", overtaken)
    assert not store._find_principal(key_format.digest(secret)).is_revoked  # type: ignore[union-attr]
    assert store.cached_principal(key_format.digest(secret)) is False
    assert is_refused(store, secret)


def test_a_warm_call_asks_the_database_nothing(
    store: ConfigurationStore, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, secret = ApiKey.issue(name="tests")
    store._poll()
    known, unknown = key_format.digest(secret), key_format.digest("nobody")
    store._find_principal(known)
    store._find_principal(unknown)
    with django_assert_num_queries(0):
        assert store.snapshot() is not None
        assert isinstance(store.cached_principal(known), Principal)
        assert store.cached_principal(unknown) is None
    # A look that finds nothing new is one query, whatever is cached.
    with django_assert_num_queries(1):
        store._poll()


def test_new_routes_are_seen_and_the_snapshot_itself_never_changes(store: ConfigurationStore) -> None:
    store._poll()
    before = store.snapshot()
    assert before is not None
    Route.objects.create(pattern="gpt-*", upstream=an_account())
    store._poll()
    after = store.snapshot()
    assert after is not None
    assert [route.pattern for route in after.routes_for("gpt-4o")] == ["gpt-*"]
    assert (before.routes, before.routes_for("gpt-4o")) == ((), ())
    assert after.version > before.version


def test_what_no_decision_rests_on_makes_no_new_version(store: ConfigurationStore) -> None:
    key, _ = ApiKey.issue(name="tests")
    upstream = an_account()
    store._poll()
    before = store.snapshot()
    upstream.mark(last_error="timeout", last_error_at=timezone.now())
    ApiKey.all_rows().filter(pk=key.pk).update_quietly(last_used_at=timezone.now())
    store._poll()
    assert store.snapshot() is before


class _Away:
    """Stands in for the version's table while the database is away."""

    @property
    def objects(self) -> Any:
        raise OperationalError("the connection was lost")


@QUICK
def test_calls_are_refused_when_the_view_is_too_old_and_taken_again_when_it_is_not(
    running: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(configuration, "ConfigVersion", _Away())
        assert running.snapshot() is not None  # for a while the last view holds
        eventually(lambda: _is_stale(running), within_s=10)
        assert (running.age_s() or 0) > 0.5
        with pytest.raises(ServiceUnavailable):
            asyncio.run(running.open())
    eventually(lambda: not _is_stale(running), within_s=10)


def _is_stale(store: ConfigurationStore) -> bool:
    try:
        store.snapshot()
    except ServiceUnavailable as error:
        return (error.code, error.http_status, error.retryable) == ("configuration_stale", 503, True)
    return False


def test_the_caches_have_a_bound(store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "MOST_CACHED_KEYS", 3)
    monkeypatch.setattr(configuration, "MOST_UNKNOWN_KEYS", 3)
    secrets = [ApiKey.issue(name=f"key {number}")[1] for number in range(5)]
    store._poll()
    for secret in secrets:
        store._find_principal(key_format.digest(secret))
        store._find_principal(key_format.digest(secret + "x"))
    assert [store.cached_principal(key_format.digest(secret)) is not False for secret in secrets] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert len(store._unknown) == 3


def test_a_store_that_was_stopped_starts_again(running: ConfigurationStore) -> None:
    running.stop()
    assert running.snapshot() is None
    assert running.age_s() is None
    assert asyncio.run(running.open()).version >= 0
