"""The vendors that the sandbox plays: one module each, with its own path prefix.

To add one, write its module after ``base.Vendor`` and name it here.
"""

from tikhub_app.sandbox.vendors.anthropic import Anthropic
from tikhub_app.sandbox.vendors.base import Vendor
from tikhub_app.sandbox.vendors.gemini import Gemini
from tikhub_app.sandbox.vendors.openai import OpenAI
from tikhub_app.sandbox.vendors.openai_compatible import OpenAICompatible

VENDORS: tuple[type[Vendor], ...] = (OpenAI, OpenAICompatible, Anthropic, Gemini)

__all__ = ["VENDORS", "Vendor"]
