"""What Anthropic refuses in a Messages request, in its own words.

https://platform.claude.com/docs/en/api/messages — unknown fields pass here, though Anthropic refuses them, so that
what a gateway forwards can be seen at its other end.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tikhub_app.sandbox.vendors.anthropic.conversation import check_messages
from tikhub_app.sandbox.vendors.anthropic.errors import invalid
from tikhub_app.sandbox.vendors.anthropic.models import Model
from tikhub_app.sandbox.vendors.anthropic.reading import asked_thinking

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "dictionary": (dict,),
    "list": (list,),
}
# Field: wanted type in Anthropic's words, smallest and largest value. null counts as absent.
FIELDS: dict[str, tuple[str, float | None, float | None]] = {
    "max_tokens": ("integer", 0, None),
    "messages": ("list", None, None),
    "metadata": ("dictionary", None, None),
    "output_config": ("dictionary", None, None),
    "stop_sequences": ("list", None, None),
    "stream": ("boolean", None, None),
    "temperature": ("number", 0, 1),
    "thinking": ("dictionary", None, None),
    "tool_choice": ("dictionary", None, None),
    "tools": ("list", None, None),
    "top_k": ("integer", 0, None),
    "top_p": ("number", 0, 1),
}


def validate(document: Mapping[str, Any], model: Model, *, counts_only: bool = False) -> None:
    """Raise the Refusal that Anthropic would answer with."""
    for name in ("messages",) if counts_only else ("max_tokens", "messages"):
        if document.get(name) is None:
            raise invalid(f"{name}: Field required")
    for name, (wanted, low, high) in FIELDS.items():
        value = document.get(name)
        if value is not None:
            check_type(value, name, wanted)
            if low is not None and value < low:
                raise invalid(f"{name}: Input should be greater than or equal to {low:g}")
            if high is not None and value > high:
                raise invalid(f"{name}: Input should be less than or equal to {high:g}")
    _check_system(document.get("system"))
    # "In adaptive mode" a turn need not begin with its thoughts; with a budget it must.
    thinking = asked_thinking(document, model) or {}
    check_messages(document["messages"], model, must_replay_thinking=thinking.get("type") == "enabled")
    _check_tools(document.get("tools") or ())
    _check_tool_choice(document, model)
    _check_output(document, model)
    _check_cache_control(document)
    if not counts_only:
        _check_thinking(document, model)
        if document["max_tokens"] > model.output_tokens:
            raise invalid(
                f"max_tokens: {document['max_tokens']} > {model.output_tokens}, which is the maximum allowed number of "
                f"output tokens for {model.name}"
            )


def check_type(value: Any, name: str, wanted: str) -> None:
    if not isinstance(value, _TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
        raise invalid(f"{name}: Input should be a valid {wanted}")


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    check_type(system, "system", "list")
    for number, block in enumerate(system):
        if not isinstance(block, Mapping) or block.get("type") != "text":
            raise invalid(f"system.{number}: Input should be a valid text block")
        if not block.get("text"):
            raise invalid("system: text content blocks must be non-empty")


def _check_tools(tools: Sequence[Any]) -> None:
    names = []
    for number, tool in enumerate(tools):
        check_type(tool, f"tools.{number}", "dictionary")
        if tool.get("type") not in (None, "custom"):
            continue  # a server tool, or one whose schema the vendor knows
        path = f"tools.{number}.custom"
        for field in ("name", "input_schema"):
            if tool.get(field) is None:
                raise invalid(f"{path}.{field}: Field required")
        if not _TOOL_NAME.fullmatch(str(tool["name"])):
            raise invalid(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        check_type(tool["input_schema"], f"{path}.input_schema", "dictionary")
        if tool["input_schema"].get("type") is None:
            raise invalid(f"{path}.input_schema.type: Field required")
        if tool["input_schema"]["type"] != "object":
            raise invalid(f"{path}.input_schema.type: Input should be 'object'")
        names.append(tool["name"])
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")


def _check_tool_choice(document: Mapping[str, Any], model: Model) -> None:
    choice = document.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise invalid(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', "
            "'any', 'tool', 'none'"
        )
    if kind == "tool" and not choice.get("name"):
        raise invalid("tool_choice.tool.name: Field required")
    if not document.get("tools"):
        raise invalid("tool_choice: may only be specified while providing tools")
    if kind in ("any", "tool") and isinstance(document.get("thinking"), Mapping) and asked_thinking(document, model):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_thinking(document: Mapping[str, Any], model: Model) -> None:
    thinking = document.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in ("enabled", "adaptive", "disabled"):
        raise invalid(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive', "
            "'disabled', 'enabled'"
        )
    if kind == "disabled":
        return
    if kind not in model.thinking:
        if "adaptive" in model.thinking:
            raise invalid(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        raise invalid(f"{'adaptive thinking' if model.thinking else 'thinking'} is not supported on this model")
    if document.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if document.get("top_k") is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.")
    if kind == "adaptive":
        return
    if thinking.get("budget_tokens") is None:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    check_type(thinking["budget_tokens"], "thinking.enabled.budget_tokens", "integer")
    if thinking["budget_tokens"] < 1_024:
        raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if document["max_tokens"] <= thinking["budget_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_output(document: Mapping[str, Any], model: Model) -> None:
    output = document.get("output_config") or {}
    effort, form = output.get("effort"), output.get("format")
    if effort is not None and effort not in model.efforts:
        if not model.efforts:
            raise invalid("This model does not support the effort parameter.")
        levels = ", ".join(sorted(model.efforts))
        raise invalid(f"This model does not support effort level '{effort}'. Supported levels: {levels}.")
    if form is None:
        return
    if form.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    check_type(form.get("schema"), "output_config.format.schema", "dictionary")
    if form["schema"].get("type") == "object" and form["schema"].get("additionalProperties") is not False:
        raise invalid(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )


def _check_cache_control(document: Mapping[str, Any]) -> None:
    marked: list[Any] = [document, *(document.get("tools") or ())]
    marked += document["system"] if isinstance(document.get("system"), list) else []
    for message in document["messages"]:
        marked += message["content"] if isinstance(message["content"], list) else []
    controls = [control for block in marked if isinstance(control := block.get("cache_control"), Mapping)]
    if len(controls) > 4:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(controls)}.")
    for control in controls:
        if control.get("type") != "ephemeral" or control.get("ttl", "5m") not in ("5m", "1h"):
            raise invalid("cache_control: Input should be {'type': 'ephemeral', 'ttl': '5m' or '1h'}")
