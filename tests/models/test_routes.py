"""Which names a route matches."""

from __future__ import annotations

import pytest

from tikhub_app.models import Route


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-*", "gpt-4o", True),
        ("gpt-*", "GPT-4o", False),
        ("o[13]*", "o3-mini", True),
        ("gpt-?", "gpt-4o", False),
    ],
)
def test_a_route_matches_exact_names_and_patterns(pattern: str, model: str, matches: bool) -> None:
    assert Route(pattern=pattern).matches(model) is matches
