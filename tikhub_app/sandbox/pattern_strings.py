"""Strings that match a regular expression, for ``pattern`` in a JSON schema."""

import importlib
import random
import re
import string
from typing import Any

# Python's own parser of expressions; it has no public name.
_parser: Any = importlib.import_module("re._parser")

_PRINTABLE = string.ascii_letters + string.digits + " -_.:/"
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase + string.digits,
    "CATEGORY_WORD": string.ascii_lowercase + string.digits,
    "CATEGORY_NOT_WORD": "-",
}
_MORE_REPEATS = 6


def matching_string(rng: random.Random, pattern: str) -> str | None:
    """A string in which ``pattern`` is found, or None for an expression beyond us (look-around, back references)."""
    try:
        text = "".join(_write(rng, item) for item in _parser.parse(pattern))
        return text if re.search(pattern, text) else None
    except (re.error, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _write(rng: random.Random, item: Any) -> str:
    code, argument = str(item[0]), item[1]
    if code == "LITERAL":
        return chr(argument)
    if code == "ANY":
        return rng.choice(string.ascii_lowercase)
    if code == "NOT_LITERAL":
        return rng.choice([letter for letter in _PRINTABLE if letter != chr(argument)])
    if code == "IN":
        return rng.choice(_letters(argument))
    if code == "BRANCH":
        return "".join(_write(rng, part) for part in rng.choice(argument[1]))
    if code == "SUBPATTERN":
        return "".join(_write(rng, part) for part in argument[-1])
    if code in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, body = argument
        times = rng.randint(least, min(int(most), least + _MORE_REPEATS))
        return "".join(_write(rng, part) for _ in range(times) for part in body)
    if code == "AT":
        return ""
    raise LookupError(code)


def _letters(items: Any) -> str:
    negated, letters = False, ""
    for code, argument in items:
        name = str(code)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            letters += chr(argument)
        elif name == "RANGE":
            low, high = argument
            letters += "".join(map(chr, range(low, min(high, low + 127) + 1)))
        else:
            letters += _CATEGORIES[str(argument)]
    return "".join(letter for letter in _PRINTABLE if letter not in letters) if negated else letters
