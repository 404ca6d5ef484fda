"""Keys in the console: made, rotated and revoked, their secrets shown in one answer only."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from tikhub_app.models import ApiKey
from tikhub_app.models.key_format import digest

LIST = "/admin/tikhub_app/apikey/"
NEW_KEY = {
    "name": "Support assistant",
    "scope": "gateway",
    "allowed_models": "gpt-*\nclaude-*, gpt-*",
    "allowed_operations": "",
    "payload_policy": "default",
}


def secrets_in(page: Any) -> list[str]:
    return re.findall(r'value="(sk-tkh-[0-9A-Za-z]{38})"', page.content.decode())


def everything_kept(client: Client) -> str:
    """All places where the console could leave something behind, as text."""
    logged = "".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    sessions = "".join(str(session.get_decoded()) for session in Session.objects.all())
    cookies = "".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    rows = "".join(str(row) for row in ApiKey.objects.values())
    return logged + sessions + cookies + rows


def test_it_shows_a_new_secret_in_one_answer_and_nowhere_else(console: Client) -> None:
    page = console.post(f"{LIST}add/", NEW_KEY)

    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    key = ApiKey.objects.get()
    (secret,) = secrets_in(page)
    assert key.key_hash == digest(secret)
    assert key.allowed_models == ["gpt-*", "claude-*"]
    assert secret not in everything_kept(console)
    for address in (LIST, f"{LIST}{key.pk}/change/", f"{LIST}{key.pk}/history/", f"{LIST}add/", "/admin/"):
        html = console.get(address).content.decode()
        assert secret not in html
        assert key.key_hash not in html
    assert LogEntry.objects.get().object_id == str(key.pk)


@pytest.mark.parametrize(("hours", "ends_after"), [("0", 0), ("1", 1), ("24", 24), ("168", 168)])
def test_a_rotation_shows_the_new_secret_and_ends_the_old_key_when_chosen(
    console: Client, hours: str, ends_after: int
) -> None:
    old, _ = ApiKey.issue(name="Batch", allowed_models=["gpt-*"])

    page = console.post(f"{LIST}rotate/?ids={old.pk}", {"hours": hours})

    (secret,) = secrets_in(page)
    assert "no-store" in page["Cache-Control"]
    new = ApiKey.objects.get(key_hash=digest(secret))
    old.refresh_from_db()
    assert (new.rotated_from, new.allowed_models) == (old, ["gpt-*"])
    assert old.expires_at is not None
    assert abs(old.expires_at - timezone.now() - timedelta(hours=ends_after)) < timedelta(seconds=30)
    assert secret not in everything_kept(console)
    assert secrets_in(console.get(f"{LIST}rotate/?ids={old.pk}")) == []


def test_a_rotation_without_a_choice_of_overlap_does_nothing(console: Client) -> None:
    old, _ = ApiKey.issue(name="Batch")
    assert console.post(f"{LIST}rotate/?ids={old.pk}", {"hours": "5"}).status_code == 200
    assert ApiKey.objects.get().expires_at is None


def test_revoking_asks_first_and_then_withdraws_every_key_chosen(console: Client) -> None:
    keys = [ApiKey.issue(name=name)[0] for name in ("one", "two", "three")]
    chosen = [key.pk for key in keys[:2]]

    to_page = console.post(LIST, {"action": "revoke_selected", "_selected_action": chosen})
    asked = console.get(to_page["Location"])

    assert "cannot be undone" in asked.content.decode()
    assert ApiKey.objects.active().count() == 3
    console.post(to_page["Location"])
    assert [key.name for key in ApiKey.objects.active()] == ["three"]
    assert LogEntry.objects.filter(change_message="Revoked.").count() == 2


def test_the_verbs_need_their_permissions(staff: Callable[..., Client]) -> None:
    key, _ = ApiKey.issue(name="one")
    revoke, rotate = f"{LIST}revoke/?ids={key.pk}", f"{LIST}rotate/?ids={key.pk}"
    for client in (staff(), staff("view_apikey"), staff("view_gatewayrequest")):
        assert client.post(revoke).status_code == 403
        assert client.post(rotate, {"hours": "0"}).status_code == 403
        assert client.get(f"{LIST}add/").status_code == 403
    # A rotation hands out a secret, so the right to change keys is not enough for it.
    changing = staff("view_apikey", "change_apikey")
    assert changing.post(rotate, {"hours": "0"}).status_code == 403
    assert ApiKey.objects.get().state == "active"
    assert changing.post(revoke).status_code == 302
    assert ApiKey.objects.get().state == "revoked"


def test_a_key_cannot_be_deleted_but_goes_with_its_owner(console: Client, django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("owner")
    key, _ = ApiKey.issue(name="one", owner=owner)

    assert console.post(f"{LIST}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in console.get(LIST).content.decode()
    console.post(LIST, {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"})
    assert ApiKey.objects.count() == 1

    console.post(f"/admin/auth/user/{owner.pk}/delete/", {"post": "yes"})
    assert ApiKey.objects.count() == 0


def test_a_revoked_key_stays_revoked_whatever_is_posted(console: Client) -> None:
    key, _ = ApiKey.issue(name="one")
    key.revoke()
    console.post(f"{LIST}{key.pk}/change/", NEW_KEY | {"revoked_at": "", "key_hash": "0" * 64, "prefix": "x"})
    key.refresh_from_db()
    assert (key.name, key.state) == ("Support assistant", "revoked")
    assert key.key_hash != "0" * 64


def test_the_list_tells_states_in_words_and_filters_by_them(console: Client) -> None:
    ApiKey.issue(name="living")
    ApiKey.issue(name="past", expires_at=timezone.now() - timedelta(days=1))
    ApiKey.issue(name="withdrawn")[0].revoke()
    for state, name in (("active", "living"), ("expired", "past"), ("revoked", "withdrawn")):
        html = console.get(f"{LIST}?state={state}").content.decode()
        assert f">{state.capitalize()}</span>" in html
        assert [other for other in ("living", "past", "withdrawn") if f">{other}</a>" in html] == [name]
