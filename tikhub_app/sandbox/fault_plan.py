"""Which call meets which fault: what the call asks for, what a test has armed, or the draw of ``--faults RATE``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from tikhub_app.sandbox import seeds
from tikhub_app.sandbox.faults import DRAWN, FAULTS, FaultChoice, FaultParameters, read_fault
from tikhub_app.sandbox.settings import ControlError


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What an armed fault may be matched with."""

    vendor: str
    operation: str
    model: str
    stream: bool
    client_request_id: str | None

    def matches(self, pattern: Mapping[str, Any]) -> bool:
        for name, wanted in pattern.items():
            value = getattr(self, name)
            if isinstance(wanted, str):
                if not fnmatchcase(str(value), wanted):
                    return False
            elif value != wanted:
                return False
        return True


FACTS = frozenset(CallFacts.__annotations__)


@dataclass(slots=True)
class ArmedFault:
    """The next ``count`` matching calls meet the fault."""

    choice: FaultChoice
    count: int
    match: Mapping[str, Any]


class FaultPlan:
    def __init__(self, seed: int, rate: float, names: Sequence[str] = ()) -> None:
        for name in names:
            if name not in FAULTS:
                raise ControlError(f"sandbox: unknown fault {name!r}; there are {', '.join(FAULTS)}.")
        if not 0 <= rate <= 1:
            raise ControlError("sandbox: the rate of faults lies between 0 and 1.")
        self._seed = seed
        self._rate = rate
        self._names = tuple(names) or DRAWN
        self._number = 0
        self.armed: list[ArmedFault] = []

    def arm(self, order: Mapping[str, Any]) -> ArmedFault:
        """Take an order of ``POST /sandbox/faults``: fault, and optionally count, match and parameters."""
        unknown = set(order) - {"fault", "count", "match", "parameters"}
        count = order.get("count", 1)
        match = order.get("match") or {}
        parameters = order.get("parameters") or {}
        if unknown or "fault" not in order:
            raise ControlError("sandbox: a fault is armed with 'fault' and optionally count, match and parameters.")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ControlError("sandbox: 'count' must be an integer of at least 1.")
        if not isinstance(match, Mapping) or not set(match) <= FACTS:
            raise ControlError(f"sandbox: 'match' is an object of {', '.join(sorted(FACTS))}.")
        fault = order["fault"]
        if parameters:
            fault = {"name": fault, **parameters}
        armed = ArmedFault(read_fault(fault), count, match)
        self.armed.append(armed)
        return armed

    def disarm(self) -> None:
        self.armed.clear()

    def pick(self, facts: CallFacts, asked: FaultChoice | None) -> FaultChoice | None:
        """The fault of this call, or None. Calls are numbered here, so equal runs draw equal faults."""
        self._number += 1
        if asked is not None:
            return asked
        for armed in self.armed:
            if facts.matches(armed.match):
                armed.count -= 1
                if armed.count == 0:
                    self.armed.remove(armed)
                return armed.choice
        return self._draw() if self._rate else None

    def _draw(self) -> FaultChoice | None:
        rng = seeds.generator(self._seed, "fault", self._number)
        if rng.random() >= self._rate:
            return None
        fault = FAULTS[rng.choice(self._names)]
        parameters = FaultParameters(after_chunks=rng.randint(1, 6))
        if fault.name == "reset_before_headers":  # the caller cannot know whether the work was begun
            parameters = replace(parameters, accepted=rng.random() < 0.5)
        return FaultChoice(fault, parameters)
