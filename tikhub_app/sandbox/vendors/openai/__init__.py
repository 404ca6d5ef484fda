"""OpenAI under ``/openai``: chat completions and the list of models. https://platform.openai.com/docs/api-reference"""

import time
import uuid
from collections.abc import Sequence

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.faults import EDGE_PAGE, FaultChoice
from tikhub_app.sandbox.replies import Refusal, Reply, plain_reply
from tikhub_app.sandbox.settings import Controls, SandboxSettings
from tikhub_app.sandbox.vendors.base import Call, Job, Operation, Vendor
from tikhub_app.sandbox.vendors.openai import errors
from tikhub_app.sandbox.vendors.openai.chat import Completion
from tikhub_app.sandbox.vendors.openai.models import MODELS, Model
from tikhub_app.sandbox.vendors.openai.prompt_cache import PromptCache
from tikhub_app.sandbox.vendors.openai.reading import count_prompt, prompt_parts, read_ask
from tikhub_app.sandbox.vendors.openai.validation import check_type, validate

_LIMIT_REQUESTS, _LIMIT_TOKENS = 10_000, 2_000_000


class OpenAI(Vendor):
    name = "openai"
    prefix = "/openai"

    def __init__(self, settings: SandboxSettings) -> None:
        super().__init__(settings)
        self._prompt_cache = PromptCache()

    def operations(self) -> Sequence[Operation]:
        return (
            Operation("POST", "/v1/chat/completions", "chat", self.admit_chat),
            Operation("GET", "/v1/models", "list_models", self.admit_model_list),
            Operation("GET", "/v1/models/{model}", "retrieve_model", self.admit_model),
        )

    # Authentication: https://platform.openai.com/docs/api-reference/authentication

    def authenticate(self, call: Call) -> None:
        required = self.settings.require_key
        if required is None:
            return
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise errors.refusal(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) "
                "if you're accessing the API from your browser and are prompted for a username and password. You can "
                "obtain an API key from https://platform.openai.com/account/api-keys.",
            )
        if key.strip() != required:
            raise errors.refusal(
                401,
                f"Incorrect API key provided: {errors.masked(key.strip())}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                code="invalid_api_key",
            )

    # Chat completions: https://platform.openai.com/docs/api-reference/chat/create

    def admit_chat(self, call: Call, controls: Controls) -> Job:
        if not call.is_json:
            raise errors.invalid(
                "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
                "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. "
                "If you have trouble figuring out how to fix this, please contact us through our help center at "
                "help.openai.com.)",
                None,
            )
        document = call.document
        if not isinstance(document, dict):
            raise errors.invalid("Invalid type for request body: expected an object.", None, "invalid_type")
        if document.get("model") in (None, ""):
            raise errors.invalid("you must provide a model parameter", None)
        check_type(document["model"], "model", "a string")
        model = self.find_model(call.model or "")
        if model is None:
            raise errors.refusal(
                404,
                f"The model `{call.model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        validate(document, model)
        document = {**document, "model": model.name}  # the suffix of the name says how, not what
        ask = read_ask(document, model, self.settings.seed)
        parts = list(prompt_parts(document))
        prompt_tokens = count_prompt(parts)
        room = model.context_tokens - prompt_tokens
        if model.vendor_rules and room <= 0:
            raise errors.invalid(
                f"This model's maximum context length is {model.context_tokens} tokens. However, your messages "
                f"resulted in {prompt_tokens} tokens. Please reduce the length of the messages.",
                "messages",
                "context_length_exceeded",
            )
        completion = Completion(
            document=document,
            ask=ask,
            identifier=f"chatcmpl-{seeds.identifier(seeds.generator(ask.fingerprint, 'id'), 29)}",
            model=model.snapshot,
            created=int(time.time()) if self.settings.clock is None else self.settings.clock,
            fingerprint=f"fp_{seeds.fingerprint(model.snapshot, self.settings.seed).hex()[:10]}",
            prompt_tokens=prompt_tokens,
            cached_tokens=self._prompt_cache.look_up(model.snapshot, parts),
            all_fields=model.vendor_rules,
        )
        return Job(
            reply=completion.reply,
            model=model.snapshot,
            stream=bool(document.get("stream")),
            billable=True,
            prompt_tokens=prompt_tokens,
            cached_tokens=completion.cached_tokens,
            reasoning_tokens=ask.reasoning_tokens * (document.get("n") or 1),
            response_id=completion.identifier,
        )

    # Models: https://platform.openai.com/docs/api-reference/models

    def find_model(self, name: str) -> Model | None:
        return MODELS.get(name)

    def list_models(self) -> list[Model]:
        return list(MODELS.values())

    def admit_model_list(self, call: Call, controls: Controls) -> Job:
        listing = {"object": "list", "data": [model.listing() for model in self.list_models()]}
        return Job(lambda controls: _json_reply(listing))

    def admit_model(self, call: Call, controls: Controls) -> Job:
        name = call.path_parameters["model"]
        model = self.find_model(name)
        if model is None:
            raise errors.refusal(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
        listing = model.listing()
        return Job(lambda controls: _json_reply(listing))

    # Errors: https://platform.openai.com/docs/guides/error-codes

    def unknown_path(self, call: Call) -> Refusal:
        path = call.path.removeprefix(self.prefix)
        if any(operation.path == path for operation in self.operations()):
            return errors.refusal(405, f"Not allowed to {call.method} on {path}.", code="method_not_supported")
        return errors.refusal(404, f"Invalid URL ({call.method} {path})")

    def too_large(self) -> Refusal:
        return errors.refusal(413, "The request body is too large.")

    def wrong_control(self, message: str) -> Refusal:
        return errors.invalid(message, "sandbox")

    def refuse(self, choice: FaultChoice) -> Refusal:
        status = choice.fault.status or 500
        headers: dict[str, str] = {}
        if status in (429, 503) and choice.parameters.retry_after is not None:
            headers["Retry-After"] = f"{choice.parameters.retry_after:g}"
        if choice.fault.html:
            return Refusal(status, EDGE_PAGE, "text/html", headers)
        return Refusal(status, self.error_body(status, choice.parameters.message), headers=headers)

    def error_body(self, status: int, message: str | None) -> bytes:
        return errors.body(errors.status_error(status, message))

    def error_event(self, message: str | None) -> bytes:
        return wire.event(errors.status_error(500, message))

    # Headers: https://platform.openai.com/docs/api-reference/debugging-requests

    def headers(self, call: Call, job: Job | None, elapsed_ms: int) -> dict[str, str]:
        headers = {"x-request-id": f"req_{uuid.uuid4().hex}"}
        if job is None:
            return headers
        left = max(0, _LIMIT_TOKENS - job.prompt_tokens)
        return headers | {
            "openai-processing-ms": str(elapsed_ms),
            "openai-version": "2020-10-01",
            "openai-organization": "tikhub-sandbox",
            "x-ratelimit-limit-requests": str(_LIMIT_REQUESTS),
            "x-ratelimit-limit-tokens": str(_LIMIT_TOKENS),
            "x-ratelimit-remaining-requests": str(_LIMIT_REQUESTS - 1),
            "x-ratelimit-remaining-tokens": str(left),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": f"{job.prompt_tokens * 60_000 // _LIMIT_TOKENS}ms",
        }


def _json_reply(value: object) -> Reply:
    return plain_reply(wire.pretty(value), "application/json")
