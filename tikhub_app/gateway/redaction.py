"""Keeps credentials out of log lines, whoever wrote them."""

from __future__ import annotations

import logging
import re

MASK = "[redacted]"
_SECRETS = re.compile(
    r"(?P<name>(?:authorization|x-api-key|x-goog-api-key|api-key)['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?|bearer\s+|[?&]key=)"
    r"[^\s'\"&,;]+"
    r"|\bsk-[A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    return _SECRETS.sub(lambda match: (match.group("name") or "") + MASK, text)


class RedactionFilter(logging.Filter):
    """Masks keys and credential headers in the message, its arguments and the text of a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask_secrets(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = mask_secrets(logging.Formatter().formatException(record.exc_info))
        elif record.exc_text:
            record.exc_text = mask_secrets(record.exc_text)
        return True
