"""One call from its first byte to its last: admit, pick a fault, bill, play the reply on the socket.

The order is the promise: what is refused is never billed, and what is accepted is on the bill before its first byte.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from tikhub_app.sandbox import wire
from tikhub_app.sandbox.bill import BillLine
from tikhub_app.sandbox.calls import ReceivedCall
from tikhub_app.sandbox.fault_plan import CallFacts
from tikhub_app.sandbox.faults import FaultChoice, read_fault
from tikhub_app.sandbox.replies import Hold, Refusal, Reply, Reset, Send, Step
from tikhub_app.sandbox.settings import CONTROL_NAMES, ControlError, Controls, read_controls
from tikhub_app.sandbox.state import Sandbox
from tikhub_app.sandbox.vendors.base import Call, Job, Operation, Vendor

_HEADER_PREFIX = "x-sandbox-"
_FLUSH_S = 0.02  # a reset throws away what the kernel has not delivered yet


class Exchange:
    def __init__(self, sandbox: Sandbox, vendor: Vendor, operation: Operation | None, request: web.Request) -> None:
        self._sandbox = sandbox
        self._vendor = vendor
        self._operation = operation
        self._request = request
        self._started = time.perf_counter()
        self._received: ReceivedCall = sandbox.calls.begin(
            vendor.name, operation.name if operation else "unknown", request
        )
        self._call = Call(
            request.method, request.path, self._received.headers, dict(request.match_info), b"", dict(request.query)
        )
        self._job: Job | None = None
        self._line: BillLine | None = None
        self._generated = 0
        self._outcome = "answered"  # or refused, once the whole reply is sent

    async def run(self) -> web.StreamResponse:
        try:
            try:
                reply, controls = await self._admit()
            except Refusal as refusal:
                reply, controls = self._refused(refusal), Controls()
            response = await self._play(reply, controls)
        except asyncio.CancelledError:  # the connection is gone, or the server stops
            self._close("server_stopped" if self._sandbox.stopping else "client_gone")
            raise
        except ConnectionError:
            self._close("client_gone")
            return web.Response(status=499)  # goes nowhere
        except BaseException:
            self._close("failed")
            raise
        return response

    # Admission

    async def _admit(self) -> tuple[Reply, Controls]:
        """The reply to play. Raises Refusal."""
        call, received = self._call, self._received
        try:
            call.body = await self._request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise self._vendor.too_large() from error
        finally:
            self._sandbox.calls.remember(received, call.body)
        self._vendor.authenticate(call)
        if self._operation is None:
            raise self._vendor.unknown_path(call)
        try:
            controls = self._read_controls()
            asked = read_fault(controls.fault) if controls.fault else None
        except ControlError as error:
            raise self._vendor.wrong_control(str(error)) from error
        job = self._job = self._operation.admit(call, controls)
        received.model = job.model or None
        choice = self._pick_fault(job, asked)
        if choice is None:
            reply = job.reply(controls)
        elif choice.fault.status is not None:
            raise self._vendor.refuse(choice)
        else:
            reply = choice.rewrite(job.reply(choice.control(controls)), self._vendor)
        if job.billable and (choice is None or choice.accepted):
            self._accept(job, choice)
        return reply, controls

    def _read_controls(self) -> Controls:
        """The call's own controls over the server's, see settings.Controls."""
        call = self._call
        if call.body:
            try:
                call.document = wire.decode(call.body)
                call.is_json = True
            except wire.MalformedJson:
                pass  # the operation refuses it, if it wanted JSON
        document: Mapping[str, Any] = call.document if isinstance(call.document, dict) else {}
        suffix: dict[str, str] = {}
        asked_model = call.path_parameters.get("model") or document.get("model")
        if isinstance(asked_model, str):
            call.model, *pairs = asked_model.split("+")
            suffix = dict(pair.partition("=")[::2] for pair in pairs)
        query = {name: value for name, value in self._request.query.items() if name in CONTROL_NAMES}
        headers = {
            name.removeprefix(_HEADER_PREFIX).replace("-", "_"): value
            for name, value in call.headers.items()
            if name.startswith(_HEADER_PREFIX)
        }
        body = document.get("sandbox")
        if body is not None and not isinstance(body, dict):
            raise ControlError("sandbox: 'sandbox' must be an object of controls.")
        return read_controls(self._sandbox.settings.controls, suffix, query, headers, body or {})

    def _pick_fault(self, job: Job, asked: FaultChoice | None) -> FaultChoice | None:
        if not job.billable and asked is None:
            return None  # lists of models and the like only fail when they are asked to
        operation = self._operation.name if self._operation else ""
        facts = CallFacts(self._vendor.name, operation, job.model, job.stream, self._received.client_request_id)
        choice = self._sandbox.faults.pick(facts, asked)
        if choice is not None:
            self._received.fault = choice.fault.name
        return choice

    def _accept(self, job: Job, choice: FaultChoice | None) -> None:
        line = self._line = BillLine(
            client_request_id=self._received.client_request_id,
            vendor=self._vendor.name,
            model=job.model,
            operation=self._received.operation,
            stream=job.stream,
            prompt_tokens=job.prompt_tokens,
            cached_tokens=job.cached_tokens,
            response_id=job.response_id,
            fault=choice.fault.name if choice else None,
            call_number=self._received.number,
        )
        self._received.billed = line.line_id
        self._sandbox.bill.accept(line)

    def _refused(self, refusal: Refusal) -> Reply:
        self._outcome = "refused"
        return Reply(
            iter([Send(refusal.body)]),
            refusal.content_type,
            content_length=len(refusal.body),
            status=refusal.status,
            headers=refusal.headers,
        )

    # Playing the reply

    async def _play(self, reply: Reply, controls: Controls) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        response = web.StreamResponse(status=reply.status)
        started_at, sent = 0.0, 0
        steps: Iterator[Step] = reply.steps
        step, upcoming = next(steps, None), next(steps, None)
        while step is not None:
            if isinstance(step, Hold):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Reset):
                await self._reset(response)
                return response
            else:
                if not response.prepared:
                    if controls.first_byte_ms:
                        await asyncio.sleep(controls.first_byte_ms / 1000)
                    await self._send_head(response, reply)
                    started_at = loop.time()
                elif controls.pace_ms:
                    # By the clock since the first chunk, so that a late chunk does not delay all that follow.
                    await asyncio.sleep(max(0.0, started_at + sent * controls.pace_ms / 1000 - loop.time()))
                self._generated = step.generated
                if upcoming is None:
                    self._settle("answered")  # before the caller can know that this was all
                await _write(response, step.data, controls.split_bytes)
                sent += 1
            step, upcoming = upcoming, next(steps, None)
        if not response.prepared:
            self._settle("answered")
            await self._send_head(response, reply)
        self._close(self._outcome)
        return response

    async def _send_head(self, response: web.StreamResponse, reply: Reply) -> None:
        elapsed_ms = round((time.perf_counter() - self._started) * 1000)
        headers = response.headers
        headers["Content-Type"] = reply.content_type
        if reply.streamed and reply.content_type.startswith("text/event-stream"):
            headers["Cache-Control"] = "no-cache"
        if reply.content_length is not None:
            response.content_length = reply.content_length
        headers.update(self._vendor.headers(self._call, self._job, elapsed_ms))
        headers.update(reply.headers)
        headers["Server"] = "tikhub-sandbox"
        headers["x-tikhub-sandbox"] = "1"
        self._received.status = reply.status
        await response.prepare(self._request)

    async def _reset(self, response: web.StreamResponse) -> None:
        """Close with RST: no linger, then abort. The option is set on a duplicate, as loops guard their sockets."""
        if response.prepared:
            await asyncio.sleep(_FLUSH_S)
        self._close("reset")
        transport = self._request.transport
        if transport is None:
            return
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    # The end

    def _settle(self, outcome: str) -> None:
        if self._line is not None and self._job is not None:
            self._sandbox.bill.settle(self._line, self._generated, self._job.reasoning_tokens, outcome)

    def _close(self, outcome: str) -> None:
        self._settle(outcome)
        self._sandbox.calls.end(self._received, outcome)


async def _write(response: web.StreamResponse, content: bytes, split_bytes: int | None) -> None:
    if not split_bytes:
        await response.write(content)
        return
    for start in range(0, len(content), split_bytes):
        await response.write(content[start : start + split_bytes])
        await asyncio.sleep(0)
