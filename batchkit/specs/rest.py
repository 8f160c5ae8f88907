"""What users hand over as configuration, as the REST API's own JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from batchkit import jsonl
from batchkit.errors import SetupError

__all__ = ["as_rest", "as_system", "model_name", "split_config", "split_sdk_config"]

# What google-genai's config object holds that is no part of generationConfig on the wire, and
# what never leaves the SDK.
_BESIDE = ("systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent", "labels")
_CAMEL: Mapping[str, str] = MappingProxyType(
    {
        "system_instruction": "systemInstruction",
        "tool_config": "toolConfig",
        "safety_settings": "safetySettings",
        "cached_content": "cachedContent",
        "http_options": "httpOptions",
        "automatic_function_calling": "automaticFunctionCalling",
        "should_return_http_response": "shouldReturnHttpResponse",
    }
)
_SDK_ONLY = ("httpOptions", "automaticFunctionCalling", "shouldReturnHttpResponse")


def as_rest(value: Any, name: str) -> Any:
    """A mapping, a list or an object with `model_dump`, as JSON values; `name` is for errors."""
    if hasattr(value, "model_dump"):
        try:
            value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        except ValueError as error:
            message = f"{name}: {error}; a response schema goes into schema="
            raise SetupError(message) from None
    plain = _plain(value)
    bad = jsonl.unwritable(plain)
    if bad:
        message = f"{name}{bad[0].removeprefix('$')}: {bad[1]}"
        raise SetupError(message)
    return plain


def _plain(value: Any) -> Any:
    """Mappings and tuples as dicts and lists, with dumpable objects inside them dumped."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def split_config(config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The generation config, and what an SDK's config object carries that stands beside it.

    A mapping is taken as it is; only an object with `model_dump` is taken apart.
    """
    plain: Any = as_rest(config, "config") if config is not None else {}
    if not jsonl.is_object(plain):
        message = f"config is a {type(config).__name__}: give a mapping or an SDK's config object"
        raise SetupError(message)
    return split_sdk_config(plain) if hasattr(config, "model_dump") else (plain, {})


def split_sdk_config(plain: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dumped config of an SDK taken apart: generation config, and what stands beside it."""
    plain = {_CAMEL.get(name, name): value for name, value in plain.items()}
    beside = {name: plain[name] for name in _BESIDE if name in plain}
    kept = {name: value for name, value in plain.items() if name not in {*_BESIDE, *_SDK_ONLY}}
    if "systemInstruction" in beside:
        beside["systemInstruction"] = as_system(beside["systemInstruction"])
    return kept, beside


def as_system(system: Any) -> dict[str, Any]:
    """A system instruction as a Content: a text becomes its only part."""
    if isinstance(system, str):
        return {"parts": [{"text": system}]}
    plain = as_rest(system, "system")
    if jsonl.is_object(plain) and "parts" in plain:
        return plain
    message = 'system is a text, or a Content: {"parts": [{"text": …}]}'
    raise SetupError(message)


def model_name(model: str) -> str:
    """The model without `models/`; tuned and publisher names stay whole."""
    name = model.strip().removeprefix("models/")
    if not name:
        message = "no model: name one, such as gemini-3.8-flash"
        raise SetupError(message)
    return name
