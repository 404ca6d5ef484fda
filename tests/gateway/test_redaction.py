"""No credential reaches a log line, whoever wrote it."""

from __future__ import annotations

import io
import logging

import pytest

from tikhub_app.gateway.redaction import RedactionFilter, mask_secrets
from tikhub_app.models import key_format

OURS = key_format.generate()
SECRETS = [OURS, "sk-proj-abcDEF123456_-xyz", "AIzaSyA-1234567890"]


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter())
    logger = logging.Logger("tests")
    logger.addHandler(handler)
    return logger, stream


@pytest.mark.parametrize("secret", SECRETS, ids=["ours", "openai", "google"])
@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer {}",
        "{{'authorization': 'Bearer {}', 'accept': '*/*'}}",
        '{{"x-api-key": "{}"}}',
        "x-goog-api-key={}",
        "api-key: {}",
        "GET /v1beta/models?key={}&alt=sse",
        "GET /v1beta/models?alt=sse&key={}",
        "AUTHORIZATION: bearer {}",
    ],
)
def test_credentials_are_masked_wherever_they_are_named(line: str, secret: str) -> None:
    masked = mask_secrets(line.format(secret))
    assert secret not in masked
    assert secret[-6:] not in masked
    assert "[redacted]" in masked


def test_keys_are_masked_by_their_form_alone() -> None:
    assert mask_secrets(f"refused {OURS}, and sk-proj-abcDEF123456.") == "refused [redacted], and [redacted]."


def test_ordinary_words_stay() -> None:
    line = "sk-1 risk-assessment-of-tasks took 3 ms; keys=4; authorization was checked"
    assert mask_secrets(line) == line


def test_arguments_and_tracebacks_are_masked_too(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("refused %s", f"Bearer {OURS}")
    try:
        raise ValueError(f"cannot use {OURS}")
    except ValueError:
        logger.exception("failed with %r", {"authorization": f"Bearer {OURS}"})
    written = stream.getvalue()
    assert OURS not in written
    assert written.count("[redacted]") == 3
    assert "Traceback" in written
