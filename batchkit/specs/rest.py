"""What users hand over as configuration, as the REST API's own JSON."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from batchkit import jsonl
from batchkit.errors import SetupError

__all__ = [
    "as_plain",
    "as_rest",
    "as_schema",
    "as_system",
    "config_schema",
    "model_name",
    "split_config",
    "split_sdk_config",
]

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
    plain = as_plain(value, name)
    bad = jsonl.unwritable(plain)
    if bad:
        message = f"{name}{bad[0].removeprefix('$')}: {bad[1]}"
        raise SetupError(message)
    return plain


def as_plain(value: Any, name: str) -> Any:
    """As `as_rest`, but values that JSON cannot hold stay; they are for the caller to find."""
    try:
        return _plain(value)
    except ValueError as error:
        message = f"{name}: {error}; of a function, give its declaration"
        raise SetupError(message) from None


def _plain(value: Any) -> Any:
    """Mappings and tuples as dicts and lists, enums and dumpable objects as what they stand for."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if _is_dumpable(value):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    # numpy's float64 is a float that JSON writers do not know.
    return float(value) if isinstance(value, float) else value


def _is_dumpable(value: Any) -> bool:
    return hasattr(value, "model_dump") and not isinstance(value, type)


def as_schema(schema: Any) -> dict[str, Any]:
    """A schema as a mapping: JSON Schema, `responseSchema`, or a type that pydantic can describe.

    Such a type is a model class, or an enum, a list or union of them.
    """
    if isinstance(schema, Mapping) or _is_dumpable(schema):
        return as_rest(schema, "schema")
    # Who has a model of pydantic has it loaded; a text would be the name of a type to it.
    pydantic: Any = None if isinstance(schema, str) else sys.modules.get("pydantic")
    try:
        return pydantic.TypeAdapter(schema).json_schema()
    except Exception as error:  # pydantic's own errors, or it is not there
        kind = schema if isinstance(schema, type) else type(schema)
        message = (
            f"the schema, {kind.__name__}, is none that can be used: "
            "give a JSON Schema, a REST responseSchema or a pydantic model"
        )
        raise SetupError(message) from error


def split_config(config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The generation config, and what an SDK's config object carries that stands beside it.

    A mapping is taken as it is; only an object with `model_dump` is taken apart. The schema of
    such an object is left out: `config_schema` gives it.
    """
    if not _is_dumpable(config):
        plain: Any = as_rest(config, "config") if config is not None else {}
        if not jsonl.is_object(plain):
            said = type(config).__name__
            message = f"config is a {said}: give a mapping or an SDK's config object"
            raise SetupError(message)
        return plain, {}
    try:
        dumped = config.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"response_schema"}
        )
    except ValueError as error:
        message = f"config: {error}; of a function, give its declaration"
        raise SetupError(message) from None
    return split_sdk_config(as_rest(dumped, "config"))


def config_schema(config: Any) -> Any:
    """What an SDK's config object names as the schema of answers: a type, a schema, or None."""
    return getattr(config, "response_schema", None) if _is_dumpable(config) else None


def split_sdk_config(plain: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dumped config of an SDK taken apart: generation config, and what stands beside it."""
    plain = {_CAMEL.get(name, name): value for name, value in plain.items()}
    beside = {name: plain[name] for name in _BESIDE if name in plain}
    kept = {name: value for name, value in plain.items() if name not in {*_BESIDE, *_SDK_ONLY}}
    if "systemInstruction" in beside:
        beside["systemInstruction"] = _sdk_system(beside["systemInstruction"])
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


def _sdk_system(system: Any) -> dict[str, Any]:
    """As `as_system`; an SDK also takes a part, and a list of texts and parts."""
    listed: list[Any] = system if jsonl.is_list(system) else [system]
    parts = [{"text": item} if isinstance(item, str) else item for item in listed]
    is_content = len(parts) == 1 and jsonl.is_object(parts[0]) and "parts" in parts[0]
    return as_system(parts[0] if is_content else {"parts": parts})


def model_name(model: str) -> str:
    """The model without `models/`; tuned and publisher names stay whole."""
    name = model.strip().removeprefix("models/")
    if not name:
        message = "no model: name one, such as gemini-3.8-flash"
        raise SetupError(message)
    return name
