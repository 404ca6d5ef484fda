"""Everything random in the sandbox comes from here, so that equal calls get equal answers."""

import hashlib
import random
import string

BASE62 = string.digits + string.ascii_letters


def fingerprint(*parts: object) -> bytes:
    """Sixteen bytes that depend on every part and on nothing else."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()


def generator(*parts: object) -> random.Random:
    """A random generator seeded by the parts."""
    return random.Random(fingerprint(*parts))  # noqa: S311 - it must be predictable


def identifier(rng: random.Random, length: int) -> str:
    """Base-62 characters, as in ``chatcmpl-…`` and ``call_…``."""
    return "".join(rng.choices(BASE62, k=length))
