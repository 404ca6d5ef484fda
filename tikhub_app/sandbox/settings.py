"""The options of one sandbox, and the controls of one call."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

Outcome = Literal["refusal", "content_filter"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
MAX_TOKENS = 200_000


class ControlError(ValueError):
    """A control of the sandbox has a value it cannot have."""


@dataclass(frozen=True, slots=True)
class Controls:
    """How one call is to be answered. Set by flags of the server, or by the call itself.

    A call sets them, the strongest first: in the body (``"sandbox": {"pace_ms": 20}``, which a gateway forwards), by
    header (``x-sandbox-pace-ms: 20``), in the query (``?pace_ms=20``) or behind the model's name
    (``gpt-4o-mini+pace_ms=20``, which an operator can write into a route).
    """

    pace_ms: float = 0  # between two chunks of a stream
    first_byte_ms: float = 0  # before the answer begins
    tokens: int | None = None  # length of the answer's text, exactly
    chunk_bytes: int | None = None  # at least so many bytes of text in a chunk; one token when not given
    split_bytes: int | None = None  # write the response in slices of this size, through the middle of events
    tool_calls: int | None = None  # how many calls, when tools are given; 0 for none
    text: str | None = None  # the answer's very words
    outcome: Outcome | None = None  # the model refuses, or the vendor's filter stops it
    usage: bool = True  # False leaves the usage out, as vendors sometimes do
    huge_bytes: int = 0  # one chunk of the answer carries so many bytes of text
    fault: str | Mapping[str, Any] | None = None  # read by faults.read_fault


_FLOATS = {"pace_ms", "first_byte_ms"}
_INTEGERS = {"tokens", "chunk_bytes", "split_bytes", "tool_calls", "huge_bytes"}
CONTROL_NAMES = frozenset(control.name for control in fields(Controls))


def read_controls(defaults: Controls, *layers: Mapping[str, Any]) -> Controls:
    """``defaults`` overruled by each layer in turn, the last one strongest. Unknown names raise ControlError."""
    changes: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            changes[name] = _read_value(name, value)
    return replace(defaults, **changes) if changes else defaults


def _read_value(name: str, value: Any) -> Any:
    if name not in CONTROL_NAMES:
        raise ControlError(f"sandbox: unknown control '{name}'; there are {', '.join(sorted(CONTROL_NAMES))}.")
    if value is None:
        return None
    if name in _FLOATS or name in _INTEGERS:
        try:
            number = float(value) if name in _FLOATS else int(value)
        except (TypeError, ValueError) as error:
            raise ControlError(f"sandbox: '{name}' must be a number, not {value!r}.") from error
        if not 0 <= number <= 1e9 or (name == "tokens" and number > MAX_TOKENS):
            raise ControlError(f"sandbox: '{name}' is out of range: {value!r}.")
        return number
    if name == "usage":
        return value in (True, "true", "1")
    if name == "outcome" and value not in OUTCOMES:
        raise ControlError(f"sandbox: 'outcome' must be one of {', '.join(OUTCOMES)}.")
    if name == "text" and not isinstance(value, str):
        raise ControlError("sandbox: 'text' must be a string.")
    return value


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The command line's options, see ``command_line.py`` for their words."""

    host: str = "127.0.0.1"
    port: int = 8099
    bill: Path | None = None
    seed: int = 0
    fault_rate: float = 0.0
    fault_set: tuple[str, ...] = ()
    require_key: str | None = None
    clock: int | None = None
    remember: int = 500
    parent_pid: int | None = None
    controls: Controls = field(default_factory=Controls)
