"""Gemini under ``/gemini``: content, streams, token counts and the list of models. https://ai.google.dev/api"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from tikhub_app.sandbox import seeds
from tikhub_app.sandbox.faults import EDGE_PAGE, FaultChoice
from tikhub_app.sandbox.replies import Refusal, Reply, plain_reply
from tikhub_app.sandbox.settings import Controls, SandboxSettings
from tikhub_app.sandbox.vendors.base import Call, Job, Operation, Vendor
from tikhub_app.sandbox.vendors.gemini import errors
from tikhub_app.sandbox.vendors.gemini.content import Form, Generation, as_event, count_search_tokens, pretty, spaced
from tikhub_app.sandbox.vendors.gemini.models import MODELS, Model
from tikhub_app.sandbox.vendors.gemini.reading import prompt_parts, read_ask
from tikhub_app.sandbox.vendors.gemini.spelling import in_camel_case
from tikhub_app.sandbox.vendors.gemini.validation import validate
from tikhub_app.sandbox.vendors.openai.prompt_cache import PromptCache

_VERSIONS = ("v1beta", "v1alpha", "v1")
Admission = Callable[[Call, Controls], Job]


class Gemini(Vendor):
    name = "gemini"
    prefix = "/gemini"

    def __init__(self, settings: SandboxSettings) -> None:
        super().__init__(settings)
        self._prompt_cache = PromptCache()  # "implicit caching" of Gemini 2.5 and later works much as OpenAI's does

    def operations(self) -> Sequence[Operation]:
        verbs: dict[str, tuple[str, Admission]] = {
            "generateContent": ("generate_content", self.admit_content),
            "streamGenerateContent": ("stream_generate_content", self.admit_stream),
            "countTokens": ("count_tokens", self.admit_count),
        }
        operations = []
        for version in _VERSIONS:
            models = f"/{version}/models"
            operations += [
                Operation("POST", f"{models}/{{model}}:{verb}", name, admit) for verb, (name, admit) in verbs.items()
            ]
            operations.append(Operation("GET", models, "list_models", self.admit_model_list))
            operations.append(Operation("GET", f"{models}/{{model}}", "retrieve_model", self.admit_model))
        return operations

    # Authentication: https://ai.google.dev/gemini-api/docs/api-key

    def authenticate(self, call: Call) -> None:
        required = self.settings.require_key
        if required is None:
            return
        key = call.headers.get("x-goog-api-key") or call.query.get("key")
        if not key:
            raise self._framed(call, errors.missing_key())
        if key != required:
            raise self._framed(call, errors.unknown_key())

    # Content: https://ai.google.dev/api/generate-content

    def admit_content(self, call: Call, controls: Controls) -> Job:
        return self._admit(call, "whole")

    def admit_stream(self, call: Call, controls: Controls) -> Job:
        form: Form = "array" if _is_array(call) else "events"
        try:
            return self._admit(call, form)
        except Refusal as refusal:
            raise self._framed(call, refusal) from None

    def _admit(self, call: Call, form: Form) -> Job:
        model, document = self._read(call)
        generation = self._generation(document, model)
        return Job(
            reply=lambda controls: generation.reply(form, controls),
            model=model.answers_as,
            stream=form != "whole",
            billable=True,
            prompt_tokens=generation.prompt_tokens + generation.tool_prompt_tokens,
            cached_tokens=generation.cached_tokens,
            reasoning_tokens=generation.ask.reasoning_tokens * _candidates(document),
            response_id=generation.identifier,
        )

    def _read(self, call: Call) -> tuple[Model, dict[str, Any]]:
        model = MODELS.get(call.model or "")
        if model is None:
            verb = call.path.rpartition(":")[2]
            raise errors.refusal(
                404,
                f"models/{call.model} is not found for API version v1beta, or is not supported for {verb}. Call "
                "ModelService.ListModels to see the list of available models and their supported methods.",
            )
        return model, self._document(call)

    def _document(self, call: Call) -> dict[str, Any]:
        if not call.is_json:
            raise errors.invalid("Invalid JSON payload received. Unexpected token.", "")
        if not isinstance(call.document, dict):
            raise errors.invalid('Invalid JSON payload received. Unknown name "": Root element must be a message.', "")
        document: dict[str, Any] = in_camel_case(call.document)
        return document

    def _generation(self, document: dict[str, Any], model: Model) -> Generation:
        validate(document, model)
        ask = read_ask(document, model, self.settings.seed)
        parts = list(prompt_parts(document))
        by_modality: dict[str, int] = {}
        for _, tokens, modality in parts:
            by_modality[modality] = by_modality.get(modality, 0) + tokens
        prompt_tokens = sum(by_modality.values())
        if prompt_tokens > model.input_tokens:
            raise errors.refusal(
                400,
                f"The input token count ({prompt_tokens}) exceeds the maximum number of tokens allowed "
                f"({model.input_tokens}).",
            )
        is_cacheable = set(by_modality) == {"TEXT"} and model.thinking != "never"
        identifier = seeds.identifier(seeds.generator(ask.fingerprint, "id"), 22)
        return Generation(
            document=document,
            ask=ask,
            model=model,
            identifier=identifier,
            prompt_by_modality=by_modality,
            cached_tokens=self._prompt_cache.look_up(model.name, [part[:2] for part in parts]) if is_cacheable else 0,
            tool_prompt_tokens=count_search_tokens(document, ask.prompt),
        )

    # Counting tokens: https://ai.google.dev/api/tokens

    def admit_count(self, call: Call, controls: Controls) -> Job:
        model, document = self._read(call)
        request = document.get("generateContentRequest") or document
        if request is not document and request.get("model") != f"models/{call.model}":
            raise errors.invalid(
                f"generate_content_request.model must be models/{call.model}, the model of the path.",
                "generate_content_request.model",
            )
        validate(request, model)
        by_modality: dict[str, int] = {}
        for _, tokens, modality in prompt_parts(request):
            by_modality[modality] = by_modality.get(modality, 0) + tokens
        details = [{"modality": modality, "tokenCount": tokens} for modality, tokens in by_modality.items()]
        counted = {"totalTokens": sum(by_modality.values()), "promptTokensDetails": details}
        return Job(lambda controls: _json_reply(counted), model=model.answers_as)

    # Models: https://ai.google.dev/api/models

    def admit_model_list(self, call: Call, controls: Controls) -> Job:
        listing = {"models": [model.listing() for model in MODELS.values()]}
        return Job(lambda controls: _json_reply(listing))

    def admit_model(self, call: Call, controls: Controls) -> Job:
        model = MODELS.get(call.path_parameters["model"])
        if model is None:
            raise errors.refusal(
                404, f"Model is not found: models/{call.path_parameters['model']} for api version v1beta"
            )
        listing = model.listing()
        return Job(lambda controls: _json_reply(listing))

    # Errors: https://ai.google.dev/gemini-api/docs/troubleshooting

    @staticmethod
    def _framed(call: Call, refusal: Refusal) -> Refusal:
        return errors.in_array(refusal) if _is_array(call) else refusal

    def unknown_path(self, call: Call) -> Refusal:
        return errors.refusal(404, "Requested entity was not found.")

    def too_large(self) -> Refusal:
        return errors.refusal(400, "Request payload size exceeds the limit: 20971520 bytes.")

    def wrong_control(self, message: str) -> Refusal:
        return errors.invalid(message, "sandbox")

    def refuse(self, choice: FaultChoice) -> Refusal:
        status = choice.fault.status or 500
        if choice.fault.html:
            return Refusal(status, EDGE_PAGE, "text/html")
        details = []
        if status in (429, 503) and choice.parameters.retry_after is not None:
            details = [errors.retry_info(choice.parameters.retry_after)]
        body = errors.body(errors.error_object(status, choice.parameters.message, *details))
        return Refusal(status, body, errors.CONTENT_TYPE)

    def error_body(self, status: int, message: str | None) -> bytes:
        return errors.body(errors.error_object(status, message))

    def error_event(self, message: str | None) -> bytes:
        return as_event(spaced(errors.error_object(500, message)))

    def headers(self, call: Call, job: Job | None, elapsed_ms: int) -> dict[str, str]:
        headers = {"server-timing": f"gfet4t7; dur={elapsed_ms}", "x-request-id": str(uuid.uuid4())}
        return headers | ({"x-gemini-service-tier": "standard"} if job is not None else {})


def _is_array(call: Call) -> bool:
    is_stream = call.path.endswith(":streamGenerateContent")
    return is_stream and not (call.query.get("alt") or call.query.get("$alt", "")).startswith("sse")


def _candidates(document: dict[str, Any]) -> int:
    return int((document.get("generationConfig") or {}).get("candidateCount") or 1)


def _json_reply(value: object) -> Reply:
    return plain_reply(pretty(value), errors.CONTENT_TYPE)
