"""Anthropic under ``/anthropic``: messages, token counting and the list of models.

https://platform.claude.com/docs/en/api/overview
"""

from collections.abc import Sequence
from typing import Any

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.faults import EDGE_PAGE, FaultChoice
from tikhub_app.sandbox.replies import Refusal, Reply, plain_reply
from tikhub_app.sandbox.settings import Controls, SandboxSettings
from tikhub_app.sandbox.vendors.anthropic import errors
from tikhub_app.sandbox.vendors.anthropic.messages import Message, event
from tikhub_app.sandbox.vendors.anthropic.models import MODELS, Model
from tikhub_app.sandbox.vendors.anthropic.prompt_cache import PromptCache
from tikhub_app.sandbox.vendors.anthropic.reading import asked_thinking, count_prompt, prompt_parts, read_ask
from tikhub_app.sandbox.vendors.anthropic.validation import check_type, validate
from tikhub_app.sandbox.vendors.base import Call, Job, Operation, Vendor

_LIMIT_REQUESTS, _LIMIT_TOKENS = 4_000, 2_000_000
_RESET = "2026-01-01T00:00:00Z"


class Anthropic(Vendor):
    name = "anthropic"
    prefix = "/anthropic"

    def __init__(self, settings: SandboxSettings) -> None:
        super().__init__(settings)
        self._prompt_cache = PromptCache()

    def operations(self) -> Sequence[Operation]:
        return (
            Operation("POST", "/v1/messages", "messages", self.admit_message),
            Operation("POST", "/v1/messages/count_tokens", "count_tokens", self.admit_count),
            Operation("GET", "/v1/models", "list_models", self.admit_model_list),
            Operation("GET", "/v1/models/{model}", "retrieve_model", self.admit_model),
        )

    # Authentication: https://platform.claude.com/docs/en/api/overview#authentication

    def authenticate(self, call: Call) -> None:
        required = self.settings.require_key
        if required is None:
            return
        key = call.headers.get("x-api-key", "")
        if not key:
            scheme, _, key = call.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not key.strip():
                raise errors.refusal(401, "x-api-key header is required")
        if key.strip() != required:
            raise errors.refusal(401, "invalid x-api-key")

    # Messages: https://platform.claude.com/docs/en/api/messages

    def admit_message(self, call: Call, controls: Controls) -> Job:
        document, model = self._read(call)
        validate(document, model)
        parts = prompt_parts(document)
        prompt_tokens = count_prompt(parts)
        room = model.context_tokens - prompt_tokens
        if room < 0:
            raise errors.invalid(f"prompt is too long: {prompt_tokens} tokens > {model.context_tokens} maximum")
        is_bound_by_context = room < document["max_tokens"]
        document["max_tokens"] = min(document["max_tokens"], room)
        ask = read_ask(document, model, self.settings.seed)
        thinking = asked_thinking(document, model) or {}
        display = thinking.get("display") or ("summarized" if model.shows_thinking else "omitted")
        message = Message(
            document=document,
            ask=ask,
            identifier=f"msg_01{seeds.identifier(seeds.generator(ask.fingerprint, 'id'), 22)}",
            model=model.snapshot,
            prompt_tokens=prompt_tokens,
            cache=self._prompt_cache.use(model.snapshot, parts),
            shows_thinking=display == "summarized",
            is_bound_by_context=is_bound_by_context,
        )
        return Job(
            reply=message.reply,
            model=model.snapshot,
            stream=bool(document.get("stream")),
            billable=True,
            prompt_tokens=prompt_tokens,
            cached_tokens=message.cache.read,
            reasoning_tokens=ask.reasoning_tokens,
            response_id=message.identifier,
        )

    def _read(self, call: Call) -> tuple[dict[str, Any], Model]:
        """The request's object and the model it asks for; without the sandbox's suffix in its name."""
        if "anthropic-version" not in call.headers:
            raise errors.invalid("anthropic-version: header is required")
        if not call.is_json:
            raise errors.invalid("The request body is not valid JSON: expected value at line 1 column 1")
        if not isinstance(call.document, dict):
            raise errors.invalid("Input should be a valid dictionary")
        document = dict(call.document)
        if document.get("model") is None:
            raise errors.invalid("model: Field required")
        check_type(document["model"], "model", "string")
        if not document["model"]:
            raise errors.invalid("model: String should have at least 1 character")
        model = MODELS.get(call.model or "")
        if model is None:
            raise errors.refusal(404, f"model: {call.model}")
        document["model"] = model.name
        return document, model

    # Token counting: https://platform.claude.com/docs/en/api/messages-count-tokens

    def admit_count(self, call: Call, controls: Controls) -> Job:
        document, model = self._read(call)
        validate(document, model, counts_only=True)
        counted = {"input_tokens": count_prompt(prompt_parts(document))}
        return Job(lambda controls: _json_reply(counted), model=model.snapshot)

    # Models: https://platform.claude.com/docs/en/api/models-list

    def admit_model_list(self, call: Call, controls: Controls) -> Job:
        listed = {model.snapshot: model.listing() for model in MODELS.values()}
        names = list(listed)
        page = {"data": list(listed.values()), "has_more": False, "first_id": names[0], "last_id": names[-1]}
        return Job(lambda controls: _json_reply(page))

    def admit_model(self, call: Call, controls: Controls) -> Job:
        name = call.path_parameters["model"]
        model = MODELS.get(name)
        if model is None:
            raise errors.refusal(404, f"model: {name}")
        listing = model.listing()
        return Job(lambda controls: _json_reply(listing))

    # Errors: https://platform.claude.com/docs/en/api/errors

    def unknown_path(self, call: Call) -> Refusal:
        path = call.path.removeprefix(self.prefix)
        if any(operation.path == path for operation in self.operations()):
            return errors.refusal(405, "Method Not Allowed")
        return errors.refusal(404)

    def too_large(self) -> Refusal:
        return errors.refusal(413)

    def wrong_control(self, message: str) -> Refusal:
        return errors.invalid(message)

    def refuse(self, choice: FaultChoice) -> Refusal:
        status = choice.fault.status or 500
        headers: dict[str, str] = {}
        if status in (429, 503, 529) and choice.parameters.retry_after is not None:
            headers["Retry-After"] = f"{choice.parameters.retry_after:g}"
        if choice.fault.html:
            return Refusal(status, EDGE_PAGE, "text/html", headers)
        return errors.refusal(status, choice.parameters.message, headers=headers)

    def error_body(self, status: int, message: str | None) -> bytes:
        kind, usual = errors.words(status)
        return wire.compact(errors.error_object(kind, message or usual, errors.new_request_id()))

    def error_event(self, message: str | None) -> bytes:
        """ "For example, during periods of high usage, you may receive an overloaded_error"."""
        kind, usual = errors.words(529)
        return event("error", error={"type": kind, "message": message or usual})

    # Headers: https://platform.claude.com/docs/en/api/rate-limits#response-headers

    def headers(self, call: Call, job: Job | None, elapsed_ms: int) -> dict[str, str]:
        headers = {"request-id": errors.new_request_id(), "anthropic-organization-id": "tikhub-sandbox"}
        if job is None:
            return headers
        return headers | {
            "anthropic-ratelimit-requests-limit": str(_LIMIT_REQUESTS),
            "anthropic-ratelimit-requests-remaining": str(_LIMIT_REQUESTS - 1),
            "anthropic-ratelimit-requests-reset": _RESET,
            "anthropic-ratelimit-input-tokens-limit": str(_LIMIT_TOKENS),
            "anthropic-ratelimit-input-tokens-remaining": str(max(0, _LIMIT_TOKENS - job.prompt_tokens)),
            "anthropic-ratelimit-input-tokens-reset": _RESET,
        }


def _json_reply(value: object) -> Reply:
    return plain_reply(wire.compact(value), "application/json")
