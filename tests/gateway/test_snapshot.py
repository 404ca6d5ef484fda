"""What the gateway takes from the tables: what is enabled, and of that what can be used."""

from __future__ import annotations

from typing import Any

import pytest

from tikhub_app.gateway.snapshot import Snapshot, load_snapshot
from tikhub_app.models import Route, Upstream
from tikhub_app.upstream.values import Timeouts

pytestmark = pytest.mark.django_db


def an_account(name: str, *, credential: str = "sk-1", pattern: str = "gpt-*", **columns: Any) -> Upstream:
    given = {"provider": "openai", "base_url": "https://api.openai.com/v1/"}
    upstream = Upstream(name=name, **given | columns)
    upstream.set_credential(credential)
    upstream.save()
    Route.objects.create(pattern=pattern, upstream=upstream)
    return upstream


def load() -> Snapshot:
    return load_snapshot(1, "default")


def faults(snapshot: Snapshot) -> dict[str, str]:
    return {route.upstream.name: route.upstream.fault for route in snapshot.routes}


def test_an_account_is_ready_to_be_called() -> None:
    upstream = an_account(
        "one",
        options={"organization": "org-1"},
        connect_timeout_s=1.5,
        first_byte_timeout_s=2.5,
        idle_timeout_s=3.5,
    )
    [route] = load().routes
    assert (route.upstream.upstream_id, route.upstream.name, route.upstream.fault) == (upstream.pk, "one", "")
    account = route.upstream.account
    assert (account.base_url, account.credential) == ("https://api.openai.com/v1", "sk-1")
    assert account.options == {"organization": "org-1"}
    assert account.timeouts == Timeouts(1.5, 2.5, 3.5)
    assert "sk-1" not in repr(route)


def test_what_is_switched_off_is_not_there() -> None:
    an_account("off", enabled=False)
    on = an_account("on")
    Route.objects.create(pattern="o3*", upstream=on, enabled=False)
    assert [(route.upstream.name, route.pattern) for route in load().routes] == [("on", "gpt-*")]


def test_a_broken_account_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_API_KEY", raising=False)
    monkeypatch.setenv("IS_SET_API_KEY", "sk-from-environment")
    an_account("unset", credential="env:NOT_SET_API_KEY")
    an_account("set", credential="env:IS_SET_API_KEY")
    an_account("empty", credential="")
    an_account("metadata", base_url="http://169.254.169.254/v1")
    sealed = an_account("sealed")
    Upstream.objects.filter(pk=sealed.pk).update(credential="fernet:gAAAAA-made-with-a-key-that-is-gone")
    unknown = an_account("unknown")
    Upstream.objects.filter(pk=unknown.pk).update(provider="of-another-version")
    an_account("keyless", credential="", provider="openai_compatible", base_url="http://127.0.0.1:11434/v1")

    found = faults(load())

    assert {name for name, fault in found.items() if not fault} == {"set", "keyless"}
    assert "NOT_SET" in found["unset"]
    assert "no credential" in found["empty"]
    assert "metadata" in found["metadata"]
    assert "ENCRYPTION_KEYS" in found["sealed"]
    assert "unknown" not in found
    [ready] = [route for route in load().routes if route.upstream.name == "set"]
    assert ready.upstream.account.credential == "sk-from-environment"


def test_the_sandbox_stands_in_for_nobody() -> None:
    an_account("sandbox", credential="", is_sandbox=True, pattern="*", base_url="http://127.0.0.1:8099/openai/v1")
    an_account("real", pattern="gpt-*")
    snapshot = load()
    assert [route.upstream.name for route in snapshot.routes_for("gpt-4o")] == ["real"]
    assert [route.upstream.name for route in snapshot.routes_for("o3")] == ["sandbox"]
    assert faults(snapshot) == {"sandbox": "", "real": ""}


def test_a_weight_of_nothing_counts_as_the_smallest() -> None:
    an_account("one")
    Route.objects.update(weight=0)
    assert [route.weight for route in load().routes] == [1]


def test_names_remembered_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikhub_app.gateway.snapshot.MOST_REMEMBERED_MODELS", 5)
    an_account("one")
    snapshot = load()
    for number in range(20):
        assert len(snapshot.routes_for(f"gpt-{number}")) == 1
    assert len(snapshot._by_model) == 5
