"""The form of generated keys, and what may be shown of any key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.models import key_format


def test_generated_keys_have_the_documented_form_and_differ() -> None:
    keys = {key_format.generate() for _ in range(200)}

    assert len(keys) == 200
    assert all(re.fullmatch(r"sk-tkh-[0-9A-Za-z]{38}", key) for key in keys)
    assert all(key_format.is_plausible(key) for key in keys)


@given(position=st.integers(0, 37), character=st.sampled_from(key_format.ALPHABET))
def test_one_mistyped_character_is_noticed(position: int, character: str) -> None:
    key = "sk-tkh-" + "a1B2" * 8 + key_format.checksum("a1B2" * 8)
    place = len(key_format.PREFIX) + position
    mistyped = key[:place] + character + key[place + 1 :]

    assert key_format.is_plausible(mistyped) == (mistyped == key)


@pytest.mark.parametrize("key", ["sk-tkh-", "sk-tkh-short", "sk-tkh-" + "a" * 39, "sk-tkh-" + "é" * 38])
def test_malformed_keys_with_our_prefix_are_refused_without_a_look_at_the_database(key: str) -> None:
    assert not key_format.is_plausible(key)


def test_keys_of_other_forms_are_looked_up() -> None:
    assert key_format.is_plausible("sk-proj-chosen-by-the-operator")
    assert key_format.is_plausible("")


def test_the_shown_prefix_reveals_six_characters_of_a_secret_at_most() -> None:
    ours = key_format.generate()

    assert key_format.display_prefix(ours) == ours[:13]
    assert key_format.display_prefix("chosen-by-the-operator-1") == "chosen"


def test_any_header_value_has_a_digest() -> None:
    assert key_format.digest("\udc80") != key_format.digest("\udc81")
    assert re.fullmatch(r"[0-9a-f]{64}", key_format.digest("ключ"))
