"""Requests written for something else, or a little wrong, put into the form the service reads.

Nothing is overwritten, and nothing that was asked is lost: what has no place, or finds it taken
by something else, stays where it is for the check to name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.fields import field_table
from batchkit.request_check import detect_dialect
from batchkit.rules import SDK_ROLES
from batchkit.stray import field_home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.fields import Field
    from batchkit.wire import Dialect

__all__ = ["given_key", "mended"]

# What google-genai's config object holds that never leaves the SDK.
_SDK_ONLY = frozenset(
    {
        "httpOptions",
        "http_options",
        "automaticFunctionCalling",
        "automatic_function_calling",
        "shouldReturnHttpResponse",
        "should_return_http_response",
    }
)


def given_key(item: Any) -> str | None:
    """The key of a line, under whatever name and of whatever type, as text; None without one."""
    if not jsonl.is_object(item):
        return None
    metadata = item.get("metadata")
    tagged = metadata.get("key") if jsonl.is_object(metadata) else None
    texts = (_key_text(key) for key in (item.get("key"), item.get("custom_id"), tagged))
    return next((text for text in texts if text), None)


def _key_text(key: Any) -> str:
    if key is None:
        return ""
    return key if isinstance(key, str) else jsonl.dumps(key).decode()


def mended(item: Any, key: str) -> Any:
    """A line as `{"key", "request"}` under this key, with each field where it belongs.

    A line that needs nothing comes back equal, and so does what cannot be mended.
    """
    if not jsonl.is_object(item):
        return item
    beside = {name: value for name, value in item.items() if not _names_row(name, value, key)}
    request, beside = (beside.pop("request"), beside) if "request" in item else (beside, {})
    if jsonl.is_object(request):
        mender = _Mender(detect_dialect({"key": key, "request": request}))
        request, beside = mender.settled(mender.request(request), beside)
    return {"key": key, "request": request, **beside}


def _names_row(name: str, value: Any, key: str) -> bool:
    """Whether a field of a line says no more than its key does."""
    if name == "metadata" and jsonl.is_object(value):
        return value.keys() <= {"key"} and _key_text(value.get("key")) in {"", key}
    return name == "key" or (name == "custom_id" and _key_text(value) in {"", key})


@dataclass(frozen=True, slots=True)
class _Mender:
    """Puts the fields of requests of one dialect in their places."""

    dialect: Dialect

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with the fields that are none of its own in their places."""
        fields = self._fields(self.dialect.request_type)
        own = {name: _in_form(name, v) for name, v in request.items() if name in fields}
        strays = {name: v for name, v in request.items() if name not in fields}
        own, left = self.settled(self._with_clean_config(own), strays)
        return {**own, **left}

    def _with_clean_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request without the fields of its generation config that belong elsewhere."""
        name = next((n for n in ("generationConfig", "generation_config") if n in request), "")
        config = request.get(name)
        if not jsonl.is_object(config):
            return request
        fields = self._fields("GenerationConfig")
        strays = {n: v for n, v in config.items() if n not in fields and self._home(n)}
        if not strays:
            return request
        rest = {n: v for n, v in config.items() if n not in strays}
        request, left = self.settled({**request, name: rest}, strays)
        return {**request, name: {**request[name], **left}}

    def settled(
        self, request: dict[str, Any], loose: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The request with the loose fields that have a place in it, and those that have none."""
        left: dict[str, Any] = {}
        for name, value in loose.items():
            if name == "config" and jsonl.is_object(value):
                request, rest = self._with_config(request, value)
            else:
                request, rest = self._with_field(request, self._home(name), value)
            if rest is not None:
                left[name] = rest
        return request, left

    def _with_config(
        self, request: dict[str, Any], config: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """An SDK's config taken apart: generation config, and what stands beside that."""
        left: dict[str, Any] = {}
        for name, value in config.items():
            if name in _SDK_ONLY:
                continue
            home = self._home(name)
            if home is None and self.dialect.kind == "generate":
                is_beside = name in (field_table("vertex").message("GenerateContentRequest") or {})
                home = [name] if is_beside else ["generationConfig", name]
            request, rest = self._with_field(request, home, value)
            if rest is not None:
                left[name] = rest
        return request, left or None

    def _with_field(
        self, request: dict[str, Any], home: Sequence[str] | None, value: Any
    ) -> tuple[dict[str, Any], Any]:
        """The request with a value at its home, and None; else the request and the value."""
        if home is None or value is None:
            return request, value
        placed = self._put(request, self.dialect.request_type, home, _in_form(home[-1], value))
        return (request, value) if placed is None else (placed, None)

    def _home(self, name: str) -> list[str] | None:
        """The steps to where a field belongs; None when that is not one place."""
        home = field_home(name, self.dialect.service, self.dialect.request_type)
        return home.split(".") if home and "[]" not in home else None

    def _put(
        self, message: dict[str, Any], type_name: Any, home: Sequence[str], value: Any
    ) -> dict[str, Any] | None:
        """The message with a value where it belongs; None when something else stands there."""
        fields = self._fields(type_name)
        name = next((n for n in message if n in fields and fields[n].name == home[0]), home[0])
        inner_type = fields[name].type if name in fields else None
        there = message.get(name)
        if len(home) > 1:
            inner: Any = {} if there is None else there
            put = self._put(inner, inner_type, home[1:], value) if jsonl.is_object(inner) else None
        else:
            put = value if there is None else self._merged(there, inner_type, value)
        return None if put is None else {**message, name: put}

    def _merged(self, there: Any, type_name: Any, value: Any) -> Any:
        """Two values for one place: equal ones, or configs that do not contradict each other."""
        if there == value:
            return there
        is_config = isinstance(type_name, str) and type_name.endswith("Config")
        if not (is_config and jsonl.is_object(there) and jsonl.is_object(value)):
            return None
        merged: dict[str, Any] | None = there
        for name, item in value.items():
            field = self._fields(type_name).get(name)
            home = [field.name if field else name]
            merged = self._put(merged, type_name, home, item) if merged is not None else None
        return merged

    def _fields(self, type_name: Any) -> Mapping[str, Field]:
        return field_table(self.dialect.service).message(type_name) or {}


def _in_form(name: str, value: Any) -> Any:
    """Texts and single objects where the API has contents and parts, as google-genai takes them."""
    if name == "contents":
        return _contents(value)
    if name in {"content", "systemInstruction", "system_instruction"}:
        return _content(value)
    return _parts(value) if name == "parts" else value


def _contents(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "parts": _parts(value)}]
    items = [value] if jsonl.is_object(value) else value
    if not jsonl.is_list(items):
        return value
    if items and all(isinstance(item, str) for item in items):
        return [{"role": "user", "parts": _parts(items)}]
    return [_with_role(_content(item)) for item in items]


def _content(value: Any) -> Any:
    if isinstance(value, str) or (jsonl.is_list(value) and value):
        return {"parts": _parts(value)}
    if jsonl.is_object(value) and "parts" in value:
        return {**value, "parts": _parts(value["parts"])}
    return value


def _parts(value: Any) -> Any:
    items = value if jsonl.is_list(value) else [value]
    if not all(isinstance(item, str) or jsonl.is_object(item) for item in items):
        return value
    return [{"text": item} if isinstance(item, str) else item for item in items]


def _with_role(content: Any) -> Any:
    role = content.get("role") if jsonl.is_object(content) else None
    known = SDK_ROLES.get(role.lower()) if isinstance(role, str) else None
    return {**content, "role": known} if known else content
