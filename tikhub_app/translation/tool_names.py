"""Names of tools that a provider's rules do not admit, replaced by ones that they do, and found again in the answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable


class ToolNames:
    """Both ways between the caller's names and the provider's. Which names are replaced depends on the name alone.

    :param names: every name in the caller's request.
    :param allowed: matches a whole name that the provider admits.
    :param longest: the provider's limit in characters.
    """

    __slots__ = ("_allowed", "_longest", "_original")

    def __init__(self, names: Iterable[str], *, allowed: re.Pattern[str], longest: int = 64) -> None:
        self._allowed = allowed
        self._longest = longest
        self._original = {self.outgoing(name): name for name in names}

    def outgoing(self, name: str) -> str:
        """The name as the provider gets it."""
        if len(name) <= self._longest and self._allowed.fullmatch(name):
            return name
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        readable = re.sub(r"[^A-Za-z0-9_]+", "_", name).lstrip("_0123456789")[: self._longest - 11]
        return f"{readable or 'tool'}_{digest}"

    def original(self, name: str) -> str:
        """The caller's name for one that the provider used; a name never sent is left as it is."""
        return self._original.get(name, name)
