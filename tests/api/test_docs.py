"""The documentation page needs nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from tests.api.conftest import as_user


def test_every_file_of_the_page_is_our_own_and_there() -> None:
    page = Client().get("/api/docs/").content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    static = [address for address in addresses if address != "../schema/"]
    assert len(static) == 4
    for address in static:
        assert address.startswith("/static/"), address
        assert finders.find(address.removeprefix("/static/")), address
    assert "//" not in re.sub(r"<!DOCTYPE html>", "", page).replace("</", "")
    assert "<script>" not in page  # a strict Content-Security-Policy holds


def test_the_page_asks_no_validator_elsewhere() -> None:
    path = finders.find("tikhub_app/docs/api_docs.js")
    assert isinstance(path, str)
    with open(path) as script:
        assert "validatorUrl: null" in script.read()


@pytest.mark.django_db
def test_a_token_for_writing_is_given_to_signed_in_users_only(admin: User) -> None:
    assert "data-csrf-token" not in Client().get("/api/docs/").content.decode()
    assert "data-csrf-token" in as_user(admin).get("/api/docs/").content.decode()
