"""A form field for lists of names: one a line, instead of JSON."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

SEPARATOR = re.compile(r"[\s,]+")
LONGEST_NAME = 200


class NamesField(forms.CharField):
    """Names separated by line ends, spaces or commas; a list of strings in Python, without repetitions."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 3, "cols": 40, "spellcheck": "false"}))
        super().__init__(required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        names = list(dict.fromkeys(part for part in SEPARATOR.split(value or "") if part))
        if any(len(name) > LONGEST_NAME for name in names):
            raise ValidationError(f"A name has at most {LONGEST_NAME} characters.")
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))
