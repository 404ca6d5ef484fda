"""The approximated tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.sandbox.tokens import count_tokens, tokenize


@given(st.text(max_size=200))
def test_no_sign_is_lost(text: str) -> None:
    assert "".join(tokenize(text)) == text


@given(st.text(max_size=200), st.integers(0, 50))
def test_a_cut_text_counts_the_tokens_it_was_cut_to(text: str, kept: int) -> None:
    tokens = tokenize(text)[:kept]
    assert tokenize("".join(tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Say this is a test", 5, 5),
        ("The quick brown fox jumps over the lazy dog, and then it sleeps for about ten hours.", 17, 22),
        ('{"location": "Boston, MA", "unit": "celsius"}', 11, 20),
        ("日本語を話しますか", 7, 11),
        ("1234567890", 4, 4),
    ],
)
def test_counts_are_those_of_real_tokenizers_roughly(text: str, least: int, most: int) -> None:
    assert least <= count_tokens(text) <= most
