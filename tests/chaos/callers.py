"""Callers of the gateway: what each call asks, how its caller behaves, and what the caller saw of the answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

LONGEST_CALL_S = 90.0
LONGEST_OUTAGE_S = 60.0
MODELS = ("gpt-4o-mini", "gpt-4o-mini", "gpt-4.1", "gpt-5-nano", "o4-mini")
#: Long enough for the provider's prompt cache, so that cached tokens and their price take part.
LONG_PROMPT = "You answer in the house style, which is given here at length. " * 140
WORDS = ("harbour", "ledger", "Zürich", "grüne", "tide", "signal", "紅茶", "cargo", "lantern", "copper")


class Behaviour(StrEnum):
    """How a caller treats its answer."""

    READ = "reads to the end"
    LEAVE = "leaves within the answer"
    HURRY = "leaves before the answer"


class Outcome(StrEnum):
    """What a caller saw."""

    COMPLETE = "complete"
    REFUSED = "refused"  # an HTTP error with a readable body
    ERROR_EVENT = "error event"  # a stream that failed and said so
    LEFT = "left"
    CONNECTION_LOST = "connection lost"
    CUT = "ended as if complete"  # which never may happen
    HUNG = "no end"  # nor this


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call, decided by the run's seed and its number alone."""

    number: int
    body: bytes
    is_stream: bool
    behaviour: Behaviour
    leaves_after_events: int
    patience_s: float
    server: int


@dataclass(frozen=True, slots=True)
class CallerNote:
    """The end of one call as its caller saw it."""

    number: int
    behaviour: Behaviour
    outcome: Outcome
    request_id: str = ""
    http_status: int | None = None
    error_code: str = ""
    #: Prompt and completion tokens, where the answer told them.
    usage: tuple[int, int] | None = None


def plan_call(seed: int, number: int) -> PlannedCall:
    """About one in six is a plain call, one in five callers leaves."""
    rng = random.Random(f"{seed}/{number}")
    is_stream = rng.random() >= 1 / 6
    model = rng.choice(MODELS)
    content = " ".join(rng.choices(WORDS, k=rng.randint(3, 40)))
    messages = [{"role": "user", "content": f"{number}: {content}"}]
    if rng.random() < 0.25:
        messages.insert(0, {"role": "system", "content": LONG_PROMPT})
    document: dict[str, Any] = {"model": model, "messages": messages}
    if model.startswith(("o", "gpt-5")):
        document["reasoning_effort"] = "low"
    if is_stream:
        document["stream"] = True
        if rng.random() < 0.6:
            document["stream_options"] = {"include_usage": True}
        document["sandbox"] = {"tokens": rng.randint(5, 60), "pace_ms": rng.choice((2, 10, 20))}
    else:
        document["sandbox"] = {"tokens": rng.randint(5, 60), "first_byte_ms": rng.randint(0, 200)}
    behaviour = rng.choices(tuple(Behaviour), weights=(80, 15, 5))[0]
    if not is_stream and behaviour is Behaviour.LEAVE:
        behaviour = Behaviour.HURRY
    return PlannedCall(
        number=number,
        body=json.dumps(document).encode(),
        is_stream=is_stream,
        behaviour=behaviour,
        leaves_after_events=rng.randint(1, 12),
        patience_s=rng.uniform(0.005, 0.15),
        server=rng.randrange(2),
    )


class Callers:
    """A number of callers at once, who take the next call as soon as their last has ended."""

    def __init__(self, ports: Sequence[int], key: str, seed: int, calls: int, parallel: int) -> None:
        self.ports = ports
        self.notes: list[CallerNote] = []
        self._started = 0
        self._running = 0
        self._may_start = calls
        self._gate = asyncio.Event()
        #: Streams of each server that have begun and not ended.
        self.streaming = [0] * len(ports)
        self._seed, self._calls, self._parallel = seed, calls, parallel
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def run(self) -> None:
        # A connection of its own for each call: one that is used again may be closed by the server just then, and
        # nobody could tell that from a call that was lost.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._parallel):
                group.create_task(self._call_on(session))

    async def hold_at(self, number: int) -> None:
        """Start no call after this one, and return when it has been started."""
        self._may_start = number
        while self._started < number:  # noqa: ASYNC110 - a look now and then is all that is needed
            await asyncio.sleep(0.01)

    async def come_to_rest(self) -> None:
        """Return when all callers wait for the next call, so that all of them go on at once."""
        while self._running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def go_on_to(self, number: int, server: int, least: int) -> None:
        """Start calls up to this one; return as soon as so many streams of the server are under way.

        :raises RuntimeError: it never came to that.
        """
        self._may_start = number
        self._gate.set()
        self._gate.clear()
        while self.streaming[server] < least:
            if self._started >= number and not self._running:
                raise RuntimeError("the callers were through before the kill; ask for more calls or fewer callers")
            await asyncio.sleep(0.001)

    async def _call_on(self, session: aiohttp.ClientSession) -> None:
        while self._started < self._calls:
            if self._started >= self._may_start:
                await self._gate.wait()
                continue
            self._started += 1
            self._running += 1
            self.notes.append(await self._call(session, plan_call(self._seed, self._started)))
            self._running -= 1

    async def _call(self, session: aiohttp.ClientSession, planned: PlannedCall) -> CallerNote:
        server = planned.server
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + LONGEST_OUTAGE_S
        while True:
            try:
                async with asyncio.timeout(LONGEST_CALL_S):
                    return await self._exchange(session, planned, server)
            except aiohttp.ClientConnectorError:
                # Nobody listens, so this was no call yet.
                if loop.time() > gives_up_at:
                    raise
                server = (server + 1) % len(self.ports)
                await asyncio.sleep(0.05)
            except TimeoutError:
                return CallerNote(planned.number, planned.behaviour, Outcome.HUNG)

    async def _exchange(self, session: aiohttp.ClientSession, planned: PlannedCall, server: int) -> CallerNote:
        headers = self._headers | {"x-tikhub-tags": f"call={planned.number}"}
        url = f"http://127.0.0.1:{self.ports[server]}/v1/chat/completions"
        hurry = planned.patience_s if planned.behaviour is Behaviour.HURRY else None
        try:
            async with asyncio.timeout(hurry) as patience:
                response = await session.post(url, data=planned.body, headers=headers)
        except TimeoutError:
            if not patience.expired():
                raise
            return CallerNote(planned.number, planned.behaviour, Outcome.LEFT)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, OSError):
            return CallerNote(planned.number, planned.behaviour, Outcome.CONNECTION_LOST)
        is_stream = response.content_type == "text/event-stream"
        self.streaming[server] += is_stream
        try:
            return await self._read(planned, response, is_stream=is_stream)
        finally:
            self.streaming[server] -= is_stream
            response.close()

    async def _read(self, planned: PlannedCall, response: aiohttp.ClientResponse, *, is_stream: bool) -> CallerNote:
        outcome: Outcome
        error_code, usage = "", None
        body = b""
        try:
            async for piece in response.content.iter_any():
                body += piece
                if planned.behaviour is Behaviour.LEAVE and body.count(b"\n\n") >= planned.leaves_after_events:
                    outcome = Outcome.LEFT
                    break
            else:
                outcome, error_code, usage = read_stream(body) if is_stream else read_plain(response.status, body)
        except (aiohttp.ClientError, OSError):
            outcome = Outcome.CONNECTION_LOST
        return CallerNote(
            planned.number,
            planned.behaviour,
            outcome,
            response.headers.get("x-request-id", ""),
            response.status,
            error_code,
            usage,
        )


def read_plain(status: int, body: bytes) -> tuple[Outcome, str, tuple[int, int] | None]:
    """Outcome, error code and usage of an answer that is one JSON document."""
    try:
        document = json.loads(body)
    except ValueError:
        return Outcome.CUT, "", None
    if status >= 400:
        return Outcome.REFUSED, str(document["error"].get("code") or ""), None
    return Outcome.COMPLETE if document.get("choices") else Outcome.CUT, "", _usage(document)


def read_stream(body: bytes) -> tuple[Outcome, str, tuple[int, int] | None]:
    """Outcome, error code and usage of a stream that was read to its end."""
    usage = None
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event.strip()]
    for event in events:
        if event == b"[DONE]":
            continue
        try:
            chunk = json.loads(event)
        except ValueError:
            return Outcome.CUT, "", None
        if "error" in chunk:
            return Outcome.ERROR_EVENT, str(chunk["error"].get("code") or ""), None
        usage = _usage(chunk) or usage
    is_complete = bool(events) and events[-1] == b"[DONE]"
    return Outcome.COMPLETE if is_complete else Outcome.CUT, "", usage


def _usage(document: dict[str, Any]) -> tuple[int, int] | None:
    usage = document.get("usage")
    return (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
