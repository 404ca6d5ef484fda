"""Everything one running sandbox holds."""

from collections.abc import Sequence

from tikhub_app.sandbox.bill import Bill
from tikhub_app.sandbox.calls import CallLog
from tikhub_app.sandbox.fault_plan import FaultPlan
from tikhub_app.sandbox.settings import SandboxSettings
from tikhub_app.sandbox.vendors import VENDORS, Vendor


class Sandbox:
    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.faults = FaultPlan(settings.seed, settings.fault_rate, settings.fault_set)
        self.calls = CallLog(settings.remember)
        self.vendors: Sequence[Vendor] = [vendor(settings) for vendor in VENDORS]
        self.bill = Bill(settings.bill)
        self.stopping = False
