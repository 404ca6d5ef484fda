"""The form of the gateway keys that we make: ``sk-tkh-`` + 32 base62 characters + 6 of checksum.

The checksum lets a mistyped key be refused without a look at the database; only keys with our prefix have one.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib

PREFIX = "sk-tkh-"
BODY_LENGTH = 32
CHECKSUM_LENGTH = 6
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
#: Keys chosen by the operator must be at least this long.
SHORTEST_FOREIGN_KEY = 24
DISPLAY_LENGTH = len(PREFIX) + 6


def generate() -> str:
    body = "".join(secrets.choice(ALPHABET) for _ in range(BODY_LENGTH))
    return PREFIX + body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of the random part in base62, six digits."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def is_plausible(key: str) -> bool:
    """False for a value that cannot be any key of ours: our prefix with a wrong length or checksum."""
    if not key.startswith(PREFIX):
        return True
    rest = key.removeprefix(PREFIX)
    body, check = rest[:BODY_LENGTH], rest[BODY_LENGTH:]
    return len(rest) == BODY_LENGTH + CHECKSUM_LENGTH and rest.isascii() and checksum(body) == check


def digest(key: str) -> str:
    """What is stored and looked up: SHA-256 of the whole key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def display_prefix(key: str) -> str:
    """The part that may be shown: enough to tell keys apart, far too little to use one."""
    return key[:DISPLAY_LENGTH] if key.startswith(PREFIX) else key[:6]
