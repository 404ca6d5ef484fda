"""Upstreams in the console: an account on one page, its credential in and never out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_httpserver import HTTPServer

from tikhub_app.models import Route, Upstream

LIST = "/admin/tikhub_app/upstream/"
CREDENTIAL = "sk-planted-4f8a1c9e"
TIMEOUTS = {"connect_timeout_s": "5", "first_byte_timeout_s": "600", "idle_timeout_s": "300"} | {
    "options": "{}",
    "initial-options": "{}",
}


def form(**values: Any) -> dict[str, Any]:
    first = {"provider": "openai", "name": "mine", "base_url": "https://api.openai.com/v1", "enabled": "on"}
    return first | TIMEOUTS | values


@pytest.fixture
def upstream(db: None) -> Upstream:
    row = Upstream(name="mine", provider="openai", base_url="https://api.openai.com/v1")
    row.set_credential(CREDENTIAL)
    row.save()
    return row


def errors_of(page: Any) -> dict[str, list[str]]:
    return dict(page.context["adminform"].form.errors)


def test_an_own_openai_key_takes_one_page(console: Client) -> None:
    console.post(f"{LIST}add/", form(name="", base_url="", new_credential=CREDENTIAL, create_routes="on"))

    row = Upstream.objects.get()
    assert (row.name, row.provider, row.base_url) == ("openai", "openai", "https://api.openai.com/v1")
    assert CREDENTIAL not in row.credential
    assert row.reveal_credential() == CREDENTIAL
    assert "gpt-*" in Route.objects.filter(upstream=row).values_list("pattern", flat=True)
    # A second account of the same provider gets a name of its own.
    console.post(f"{LIST}add/", form(name="", new_credential=CREDENTIAL))
    assert list(Upstream.objects.order_by("id").values_list("name", flat=True)) == ["openai", "openai-2"]
    assert Route.objects.exclude(upstream=row).count() == 0


def test_the_credential_is_in_no_page(console: Client, upstream: Upstream) -> None:
    rejected = console.post(f"{LIST}{upstream.pk}/change/", form(base_url="nonsense", new_credential=CREDENTIAL))
    assert rejected.status_code == 200
    pages = [console.get(LIST), console.get(f"{LIST}?q=mine"), rejected]
    pages += [console.get(f"{LIST}{upstream.pk}/{page}/") for page in ("change", "history", "delete")]
    pages += [console.get(f"{LIST}add/?new_credential={CREDENTIAL}")]
    for page in pages:
        assert page.status_code == 200
        body = page.content.decode()
        assert CREDENTIAL not in body.replace(f"?new_credential={CREDENTIAL}", "")
        assert upstream.credential not in body
    assert "stored, encrypted" in pages[0].content.decode()
    assert CREDENTIAL not in "".join(entry.change_message for entry in LogEntry.objects.all())


def test_an_empty_credential_keeps_the_stored_one_and_a_new_one_replaces_it(
    console: Client, upstream: Upstream
) -> None:
    upstream.mark(auth_failed_at=upstream.created_at)
    console.post(f"{LIST}{upstream.pk}/change/", form(name="renamed"))
    upstream.refresh_from_db()
    assert (upstream.name, upstream.reveal_credential()) == ("renamed", CREDENTIAL)
    assert upstream.auth_failed_at is not None

    console.post(f"{LIST}{upstream.pk}/change/", form(new_credential="env:MY_OPENAI_API_KEY"))
    upstream.refresh_from_db()
    assert upstream.credential == "env:MY_OPENAI_API_KEY"
    assert upstream.auth_failed_at is None


def test_a_stored_credential_does_not_follow_the_address_to_another_host(console: Client, upstream: Upstream) -> None:
    page = console.post(f"{LIST}{upstream.pk}/change/", form(base_url="https://elsewhere.example.org/v1"))
    assert "give the API key once more" in errors_of(page)["new_credential"][0]
    upstream.refresh_from_db()
    assert upstream.base_url == "https://api.openai.com/v1"
    # Another path at the same host is the same place.
    console.post(f"{LIST}{upstream.pk}/change/", form(base_url="https://API.openai.com:443/v2/"))
    upstream.refresh_from_db()
    assert upstream.base_url == "https://API.openai.com:443/v2"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "https://name:word@example.org/v1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": ""}, "base_url"),
        ({"new_credential": ""}, "new_credential"),
        ({"new_credential": "env:"}, "new_credential"),
        ({"new_credential": "env:A B"}, "new_credential"),
        ({"new_credential": "two words"}, "new_credential"),
        ({"provider": "nobody"}, "provider"),
    ],
)
def test_it_says_what_is_wrong_with_an_account(console: Client, values: dict[str, str], field: str) -> None:
    page = console.post(f"{LIST}add/", form(new_credential=CREDENTIAL) | values)
    assert list(errors_of(page)) == [field]
    assert not Upstream.objects.exists()


def test_a_host_that_asks_for_no_key_needs_none(console: Client) -> None:
    console.post(f"{LIST}add/", form(provider="openai_compatible", base_url="http://127.0.0.1:11434/v1"))
    assert Upstream.objects.get().credential == ""


def test_a_row_of_the_environment_becomes_the_operators_with_the_first_edit(console: Client) -> None:
    row = Upstream(
        name="env-openai", provider="openai", base_url="https://api.openai.com/v1", credential="env:OPENAI_API_KEY",
        managed_by_environment=True,
    )  # fmt: skip
    row.save()
    console.post(f"{LIST}{row.pk}/change/", form(name="env-openai"))
    row.refresh_from_db()
    assert row.managed_by_environment is True  # saved without a change
    console.post(f"{LIST}{row.pk}/change/", form(name="env-openai", connect_timeout_s="7"))
    row.refresh_from_db()
    assert Upstream.objects.filter(managed_by_environment=False).count() == 1
    assert row.credential == "env:OPENAI_API_KEY"


def test_the_button_tests_the_connection_and_shows_the_outcome(
    console: Client, upstream: Upstream, httpserver: HTTPServer, staff: Callable[..., Client]
) -> None:
    upstream.base_url = httpserver.url_for("/v1")
    upstream.save()
    test = f"{LIST}{upstream.pk}/test/"
    httpserver.expect_request("/v1/models", headers={"Authorization": f"Bearer {CREDENTIAL}"}).respond_with_json(
        {"object": "list", "data": []}
    )
    assert staff("view_upstream").post(test).status_code == 403
    assert console.get(test).status_code == 403
    assert httpserver.log == []

    page = console.post(test, follow=True)
    assert "HTTP 200" in page.content.decode()
    upstream.refresh_from_db()
    assert upstream.last_checked_at is not None

    httpserver.clear()
    httpserver.expect_request("/v1/models").respond_with_json({"error": {"message": "no"}}, status=401)
    page = console.post(LIST, {"action": "test_selected", "_selected_action": [upstream.pk]}, follow=True)
    assert "refused" in page.content.decode()
    assert "API key refused" in console.get(LIST).content.decode()


def test_those_who_may_only_look_see_no_field_to_type_in(upstream: Upstream, staff: Callable[..., Client]) -> None:
    html = staff("view_upstream").get(f"{LIST}{upstream.pk}/change/").content.decode()
    assert "new_credential" not in html
    assert "Test connection" not in html
    assert "stored, encrypted" in html
