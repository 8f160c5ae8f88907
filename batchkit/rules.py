"""Rules that field tables cannot state: roles, content, and known bugs of the services.

Each rule about a bug cites the report and the date it was last seen, so that it can age out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.validity import Problem, check_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batchkit.fields import Service
    from batchkit.wire import Dialect

__all__ = ["SDK_ROLES", "check_request"]

# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
# shows "Please use a valid role: user, model."
_ROLES = ("user", "model")
SDK_ROLES = {"assistant": "model", "ai": "model", "human": "user"}
_CONTENT_ROLES = (*_ROLES, "function", "tool")


def check_request(body: Any, dialect: Dialect, path: str = "$.request") -> Iterator[Problem]:
    """All problems of one request body: fields and types first, then what they cannot state."""
    yield from check_body(body, dialect.service, dialect.request_type, path)
    if jsonl.is_object(body):
        yield from _check_rules(body, dialect.service, path)


def _check_rules(body: Mapping[str, Any], service: Service, path: str) -> Iterator[Problem]:
    rules = _EMBED if ("content" in body and "contents" not in body) else _GENERATE
    for rule in rules:
        yield from rule(body, service, path)


def _get(body: Mapping[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if jsonl.is_list(value) else [value]


def _objects(value: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(i, item) for i, item in enumerate(_as_list(value)) if jsonl.is_object(item)]


def _contents(body: Mapping[str, Any], _: Service, path: str) -> Iterator[Problem]:
    contents = body.get("contents")
    if not _as_list(contents):
        remedy = 'write "contents": [{"role": "user", "parts": [{"text": …}]}]'
        yield Problem("error", "no-contents", f"{path}.contents", "missing or empty", remedy)
    for index, content in _objects(contents):
        place = f"{path}.contents[{index}]"
        yield from _parts(content, place)
        yield from _role(content.get("role"), f"{place}.role")


def _role(role: Any, path: str) -> Iterator[Problem]:
    if isinstance(role, str) and role not in _CONTENT_ROLES:
        remedy = f"use {SDK_ROLES.get(role.lower(), 'user or model')}"
        yield Problem("error", "bad-role", path, f"the role {role!r} is refused", remedy)


def _parts(content: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if not _as_list(content.get("parts")):
        remedy = 'write "parts": [{"text": …}]'
        yield Problem("error", "no-parts", f"{path}.parts", "missing or empty", remedy)
    for index, part in _objects(content.get("parts")):
        if not any(value is not None for value in part.values()):
            place = f"{path}.parts[{index}]"
            yield Problem("error", "empty-part", place, "the part holds nothing", "leave it out")


def _media(body: Mapping[str, Any], service: Service, path: str) -> Iterator[Problem]:
    for index, content in _objects(body.get("contents")):
        for number, part in _objects(content.get("parts")):
            data = _get(part, "fileData", "file_data")
            uri = _get(data, "fileUri", "file_uri") if jsonl.is_object(data) else None
            place = f"{path}.contents[{index}].parts[{number}].fileData"
            if isinstance(uri, str):
                yield from _file_uri(uri, service, place)


def _file_uri(uri: str, service: Service, path: str) -> Iterator[Problem]:
    """Files-API files live 48 hours; Vertex reads gs:// and public YouTube addresses."""
    if service == "gemini" and "/files/" in uri:
        remedy = "upload it shortly before the batch, and again if the batch waits long"
        yield Problem("warning", "file-expires", path, "uploaded files live 48 hours", remedy)
    if service == "vertex" and not uri.startswith(("gs://", "https://", "http://")):
        message = f"Vertex AI cannot read {uri[:60]!r}"
        yield Problem("error", "file-unreachable", path, message, "copy the file to gs://")


def _json_schema(body: Mapping[str, Any], _: Service, path: str) -> Iterator[Problem]:
    config = _get(body, "generationConfig", "generation_config")
    if not jsonl.is_object(config):
        return
    place = f"{path}.generationConfig"
    if _get(config, "responseJsonSchema", "response_json_schema") is not None:
        message = (
            "responseJsonSchema was silently ignored in batches "
            "(github.com/crmne/ruby_llm/issues/894, last seen 2026-08)"
        )
        place_json = f"{place}.responseJsonSchema"
        yield Problem("warning", "json-schema-ignored", place_json, message, "use responseSchema")
    schema = _get(config, "responseSchema", "response_schema")
    if schema is not None and not _get(config, "responseMimeType", "response_mime_type"):
        remedy = 'add "responseMimeType": "application/json"'
        place_schema = f"{place}.responseSchema"
        message = "a schema without a response type is refused"
        yield Problem("error", "schema-without-type", place_schema, message, remedy)


def _url_context(body: Mapping[str, Any], _: Service, path: str) -> Iterator[Problem]:
    for index, tool in _objects(body.get("tools")):
        if _get(tool, "urlContext", "url_context") == {}:
            message = (
                "an empty urlContext was refused in batches though not online "
                "(github.com/googleapis/python-genai/issues/2123, last seen 2026-08)"
            )
            yield Problem("warning", "empty-url-context", f"{path}.tools[{index}]", message)


def _embedding(body: Mapping[str, Any], _: Service, path: str) -> Iterator[Problem]:
    content = body.get("content")
    if not jsonl.is_object(content):
        return
    yield from _parts(content, f"{path}.content")
    texts = [part for _, part in _objects(content.get("parts")) if "text" in part]
    if len(texts) > 1:
        message = (
            f"{len(texts)} texts become one vector "
            "(github.com/googleapis/python-genai/issues/2523, last seen 2026-09)"
        )
        place = f"{path}.content.parts"
        yield Problem("warning", "texts-fused", place, message, "write one line per text")


_GENERATE: tuple[Callable[..., Iterator[Problem]], ...] = (
    _contents,
    _media,
    _json_schema,
    _url_context,
)
_EMBED: tuple[Callable[..., Iterator[Problem]], ...] = (_embedding,)
