"""``/sandbox/...``: what tests and people ask the sandbox itself.

GET    /sandbox/bill[?client_request_id=ID]   the lines of accepted calls      DELETE: forget them
GET    /sandbox/calls[?limit=100]             counts, and the last calls       DELETE: forget them
GET    /sandbox/faults                        the fault table and what is armed
POST   /sandbox/faults                        {"fault": NAME, "count": 3, "match": {"model": "gpt-4o*"}}
DELETE /sandbox/faults                        disarm
GET    /sandbox/health
"""

from dataclasses import asdict

from aiohttp import web

from tikhub_app.sandbox import wire
from tikhub_app.sandbox.fault_plan import ArmedFault
from tikhub_app.sandbox.faults import FAULTS
from tikhub_app.sandbox.settings import ControlError
from tikhub_app.sandbox.state import Sandbox


class ControlApi:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.index),
            web.get("/sandbox/health", self.health),
            web.get("/sandbox/bill", self.read_bill),
            web.delete("/sandbox/bill", self.reset_bill),
            web.get("/sandbox/calls", self.read_calls),
            web.delete("/sandbox/calls", self.reset_calls),
            web.get("/sandbox/faults", self.read_faults),
            web.post("/sandbox/faults", self.arm_fault),
            web.delete("/sandbox/faults", self.disarm_faults),
        ]

    async def index(self, request: web.Request) -> web.Response:
        lines = ["TikHub sandbox: a fake of the upstream vendors. No model is called, nothing is spent.", ""]
        lines += [f"{vendor.name}: {request.url.origin()}{vendor.prefix}/v1" for vendor in self._sandbox.vendors]
        lines += ["", "bill: /sandbox/bill   calls: /sandbox/calls   faults: /sandbox/faults", ""]
        return web.Response(text="\n".join(lines), headers={"x-tikhub-sandbox": "1"})

    async def health(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def read_bill(self, request: web.Request) -> web.Response:
        lines = self._sandbox.bill.lines()
        wanted = request.query.get("client_request_id")
        if wanted is not None:
            lines = [line for line in lines if line["client_request_id"] == wanted]
        return _json({"lines": lines})

    async def reset_bill(self, request: web.Request) -> web.Response:
        self._sandbox.bill.reset()
        return _json({"lines": []})

    async def read_calls(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "100")
        if not limit.isdecimal():
            return _json({"error": "sandbox: 'limit' must be a number."}, 400)
        return _json(self._sandbox.calls.summary(int(limit)))

    async def reset_calls(self, request: web.Request) -> web.Response:
        self._sandbox.calls.reset()
        return _json(self._sandbox.calls.summary(0))

    async def read_faults(self, request: web.Request) -> web.Response:
        table = {name: {"summary": row.summary, "accepted": row.accepted} for name, row in FAULTS.items()}
        return _json({"faults": table, "armed": [_shown(armed) for armed in self._sandbox.faults.armed]})

    async def arm_fault(self, request: web.Request) -> web.Response:
        try:
            order = wire.decode(await request.read())
            if not isinstance(order, dict):
                raise ControlError("sandbox: a fault is armed with a JSON object.")
            armed = self._sandbox.faults.arm(order)
        except (wire.MalformedJson, ControlError) as error:
            return _json({"error": str(error)}, 400)
        return _json(_shown(armed), 201)

    async def disarm_faults(self, request: web.Request) -> web.Response:
        self._sandbox.faults.disarm()
        return _json({"armed": []})


def _shown(armed: ArmedFault) -> dict[str, object]:
    return {
        "fault": armed.choice.fault.name,
        "parameters": asdict(armed.choice.parameters),
        "count": armed.count,
        "match": armed.match,
    }


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        body=wire.compact(value), status=status, content_type="application/json", headers={"x-tikhub-sandbox": "1"}
    )
