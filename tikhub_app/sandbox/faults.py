"""The fault table: everything a vendor's API does wrong, by name.

A fault either refuses the call with a status before the work is accepted, or changes how the call is answered
(``controls``), or rewrites the reply's steps after acceptance (``rewrite``). ``accepted`` says whether the vendor has
begun the work, and so bills it; a parameter of the same name overrules it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from tikhub_app.sandbox.replies import Hold, Reply, Reset, Send, Step
from tikhub_app.sandbox.settings import ControlError, Controls

LONGEST_HANG_S = 120.0

EDGE_PAGE = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>cloudflare</center>\r
</body>\r
</html>\r
"""


@dataclass(frozen=True, slots=True)
class FaultParameters:
    after_chunks: int = 3  # how many events a stream gets out before it breaks
    retry_after: float | None = 1  # seconds in Retry-After of status_429, _503 and _529; None leaves the header out
    seconds: float | None = None  # how long to wait: 5 for slow_first_byte, 120 at most for the hangs
    bytes: int = 1024 * 1024  # size of the huge event
    accepted: bool | None = None  # billed or not, whatever the table says
    message: str | None = None  # the error's own words


class Voice(Protocol):
    """What the table needs a vendor to say in its own form."""

    def error_event(self, message: str | None) -> bytes: ...

    def error_body(self, status: int, message: str | None) -> bytes: ...


Rewrite = Callable[[Reply, FaultParameters, Voice], Reply]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table."""

    name: str
    summary: str
    status: int | None = None  # refuses with this status, before acceptance
    html: bool = False  # the refusal is an edge server's page, not the vendor's JSON
    accepted: bool = True
    drawn: bool = False  # belongs to the faults of --faults RATE
    controls: Callable[[Controls, FaultParameters], Controls] | None = None
    rewrite: Rewrite | None = None


@dataclass(frozen=True, slots=True)
class FaultChoice:
    """A fault with its parameters, picked for one call."""

    fault: Fault
    parameters: FaultParameters

    @property
    def accepted(self) -> bool:
        return self.fault.accepted if self.parameters.accepted is None else self.parameters.accepted

    def control(self, controls: Controls) -> Controls:
        return self.fault.controls(controls, self.parameters) if self.fault.controls else controls

    def rewrite(self, reply: Reply, voice: Voice) -> Reply:
        return self.fault.rewrite(reply, self.parameters, voice) if self.fault.rewrite else reply


# How replies are broken. A stream is broken after ``after_chunks`` events, a plain answer in the middle of its body.


def _up_to_break(reply: Reply, parameters: FaultParameters) -> Iterator[tuple[Send, bool]]:
    """A stream's events, each with whether the break has been reached; a short stream breaks at its last event."""
    sends = (step for step in reply.steps if isinstance(step, Send))
    send, upcoming = next(sends, None), next(sends, None)
    number = 0
    while send is not None:
        yield send, upcoming is None or number >= parameters.after_chunks
        send, upcoming = upcoming, next(sends, None)
        number += 1


def _beginning(reply: Reply, parameters: FaultParameters) -> Iterator[Send]:
    if not reply.streamed:
        yield from (
            Send(send.data[: len(send.data) // 2], send.generated) for send, _ in _up_to_break(reply, parameters)
        )
        return
    for send, broken in _up_to_break(reply, parameters):
        if broken:
            return
        yield send


def _reset_mid_stream(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    def steps() -> Iterator[Step]:
        yield from _beginning(reply, parameters)
        yield Reset()

    return replace(reply, steps=steps())


def _end_mid_stream(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    return replace(reply, steps=iter(_beginning(reply, parameters)), content_length=None)


def _stall_mid_stream(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    def steps() -> Iterator[Step]:
        yield from _beginning(reply, parameters)
        yield Hold(_bounded(parameters.seconds, LONGEST_HANG_S))
        yield Reset()

    return replace(reply, steps=steps())


def _reset_before_headers(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    return replace(reply, steps=iter([Reset()]))


def _slow_first_byte(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    def steps() -> Iterator[Step]:
        yield Hold(_bounded(parameters.seconds, 5.0))
        yield from reply.steps

    return replace(reply, steps=steps())


def _hang(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    return replace(reply, steps=iter([Hold(_bounded(parameters.seconds, LONGEST_HANG_S)), Reset()]))


def _truncated_json(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    """A plain body ends in its middle with an honest length; a stream ends in the middle of an event's JSON."""

    def steps() -> Iterator[Step]:
        if not reply.streamed:
            yield from _beginning(reply, parameters)
            return
        for send, broken in _up_to_break(reply, parameters):
            if broken:
                yield Send(send.data[: len(send.data) // 2] + b"\n\n", send.generated)
                return
            yield send

    return replace(reply, steps=steps(), content_length=None)


def _spoil_one(reply: Reply, parameters: FaultParameters, spoil: Callable[[bytes], bytes]) -> Reply:
    """One event of a stream, or the whole of a plain body, is replaced; the rest goes on as if nothing had been."""

    def steps() -> Iterator[Step]:
        spoiled = False
        for send, broken in _up_to_break(reply, parameters):
            yield Send(spoil(send.data), send.generated) if broken and not spoiled else send
            spoiled = spoiled or broken

    return replace(reply, steps=steps(), content_length=None)


def _malformed_json(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    if reply.streamed:
        broken = b'{"id": nope, "choices": [}'
        event = b"data: " + broken + b"\n\n" if reply.frame_error is None else reply.frame_error(broken)
        return _spoil_one(reply, parameters, lambda _: event)
    return _spoil_one(reply, parameters, lambda body: b'{"id": nope, ' + body[1:])


def _malformed_sse_event(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    """Bytes that are not UTF-8 in the middle of the event, and no end of its JSON."""
    return _spoil_one(reply, parameters, lambda event: event[: len(event) * 2 // 3] + b"\xff\xfe\xc3(\n\n")


def _wrong_content_type(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    page = EDGE_PAGE.replace(b"502 Bad Gateway", b"Please sign in")
    return Reply(iter([Send(page)]), "text/html; charset=utf-8", content_length=len(page))


def _empty_body(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    return replace(reply, steps=iter(()), content_length=None if reply.streamed else 0)


def _error_event_mid_stream(reply: Reply, parameters: FaultParameters, voice: Voice) -> Reply:
    """A stream tells of the error in an event and ends without its terminator; a plain call is a late 500."""
    if not reply.streamed:
        body = voice.error_body(500, parameters.message)
        steps: Iterator[Step] = (Send(body, step.generated) for step in reply.steps if isinstance(step, Send))
        return replace(reply, steps=steps, status=500, content_length=len(body))

    def broken() -> Iterator[Step]:
        generated = 0
        for send in _beginning(reply, parameters):
            generated = send.generated
            yield send
        if reply.frame_error is not None:
            yield Send(reply.frame_error(voice.error_body(500, parameters.message)), generated)
        else:
            yield Send(voice.error_event(parameters.message), generated)

    return replace(reply, steps=broken())


def _bounded(seconds: float | None, default: float) -> float:
    return min(default if seconds is None else seconds, LONGEST_HANG_S)


def _without_usage(controls: Controls, parameters: FaultParameters) -> Controls:
    return replace(controls, usage=False)


def _with_huge_event(controls: Controls, parameters: FaultParameters) -> Controls:
    return replace(controls, huge_bytes=parameters.bytes)


def _refusals() -> Iterator[Fault]:
    for status in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 529):
        yield Fault(
            f"status_{status}",
            f"{status} in the vendor's error form" + (", with Retry-After" if status in (429, 503, 529) else ""),
            status=status,
            accepted=False,
            drawn=status in (429, 500, 503),
        )
    yield Fault("status_502", "502 with an edge server's HTML page", status=502, html=True, accepted=False, drawn=True)


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        *_refusals(),
        Fault("slow_first_byte", "the answer begins late (seconds, 5)", rewrite=_slow_first_byte),
        Fault(
            "reset_before_headers",
            "TCP reset instead of an answer; not billed unless accepted is set",
            accepted=False,
            drawn=True,
            rewrite=_reset_before_headers,
        ),
        Fault("reset_mid_stream", "TCP reset after after_chunks events", drawn=True, rewrite=_reset_mid_stream),
        Fault("end_mid_stream", "a proper end in the middle, no terminator", drawn=True, rewrite=_end_mid_stream),
        Fault("stall_mid_stream", "nothing more after after_chunks events", rewrite=_stall_mid_stream),
        Fault("truncated_json", "the JSON ends in its middle", drawn=True, rewrite=_truncated_json),
        Fault("malformed_json", "a body or an event that is not JSON", drawn=True, rewrite=_malformed_json),
        Fault("malformed_sse_event", "an event with broken UTF-8 and JSON", drawn=True, rewrite=_malformed_sse_event),
        Fault("wrong_content_type", "200 with a text/html page", drawn=True, rewrite=_wrong_content_type),
        Fault("empty_body", "200 with no body", drawn=True, rewrite=_empty_body),
        Fault("hang", "no answer until the caller goes (120 s at most)", rewrite=_hang),
        Fault("error_event_mid_stream", "an error event, then the end", drawn=True, rewrite=_error_event_mid_stream),
        Fault("huge_event", "one event of a megabyte (bytes)", controls=_with_huge_event),
        Fault("no_usage", "the answer lacks its usage", controls=_without_usage),
    )
}

DRAWN = tuple(name for name, fault in FAULTS.items() if fault.drawn)


def read_fault(value: str | Mapping[str, Any]) -> FaultChoice:
    """``status_429``, ``status_429;retry_after=2`` or ``{"name": "status_429", "retry_after": 2}``.

    Raises ControlError for an unknown name, an unknown parameter or a value of the wrong type.
    """
    if isinstance(value, str):
        name, *pairs = (part.strip() for part in value.split(";"))
        given: dict[str, Any] = dict(pair.partition("=")[::2] for pair in pairs if pair)
    elif isinstance(value, Mapping):
        given = dict(value)
        name = given.pop("name", None)
    else:
        raise ControlError(f"sandbox: a fault is a name or an object with one, not {value!r}.")
    if name not in FAULTS:
        raise ControlError(f"sandbox: unknown fault {name!r}; there are {', '.join(FAULTS)}.")
    return FaultChoice(FAULTS[name], _read_parameters(given))


def _read_parameters(given: Mapping[str, Any]) -> FaultParameters:
    known = {parameter.name for parameter in fields(FaultParameters)}
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ControlError(f"sandbox: unknown parameter '{name}' of a fault; there are {', '.join(sorted(known))}.")
        try:
            changes[name] = _read_parameter(name, value)
        except (TypeError, ValueError) as error:
            raise ControlError(f"sandbox: the fault's '{name}' cannot be {value!r}.") from error
    return FaultParameters(**changes)


def _read_parameter(name: str, value: Any) -> Any:
    if value is None or value == "none":
        return None
    if name == "accepted":
        return value in (True, "", "true", "1")
    if name == "message":
        return str(value)
    number = int(value) if name in ("after_chunks", "bytes") else float(value)
    if not 0 <= number <= 1e9:
        raise ValueError(name)
    return number
