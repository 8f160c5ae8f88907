"""Rules that field tables cannot state: roles, content, and known bugs of the services.

Bugs are data in `facts/bugs.json`, each with its report and when it was last seen, so that it can
age out.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.fields import field_table
from batchkit.validity import Problem, body_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchkit.fields import Service
    from batchkit.wire import Dialect

__all__ = ["SDK_ROLES", "bug_warnings", "check_request"]

# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
# shows "Please use a valid role: user, model."; function and tool carry results of functions.
_ROLES = ("user", "model", "function", "tool")
SDK_ROLES: Mapping[str, str] = MappingProxyType(
    {"assistant": "model", "ai": "model", "human": "user"}
)
# What a part is one of, and what only says how to read it: https://ai.google.dev/api/caching#Part
_PART_DATA = frozenset(
    {
        "text",
        "inlineData",
        "functionCall",
        "functionResponse",
        "fileData",
        "executableCode",
        "codeExecutionResult",
    }
)
_UPLOADED = re.compile(r"(https?://[^/]+/v\w+/)?files/[\w-]+")
_PART_EXTRAS = frozenset({"videoMetadata", "mediaResolution", "partMetadata"})


def check_request(body: Any, dialect: Dialect, path: str = "$.request") -> Iterator[Problem]:
    """All problems of one request body, by the field table and by what it cannot state."""
    for problem in _body_check(dialect)(body):
        yield problem.under(path)


def bug_warnings(rule: str, service: Service, path: str) -> list[Problem]:
    """The warning about a bug, where the service is one that has it."""
    bug = _bugs()[rule]
    if service not in bug["services"]:
        return []
    issue = bug["issue"].removeprefix("https://")
    message = f"{bug['message']} ({issue}, last seen {bug['last_seen']})"
    return [Problem("warning", rule, path, message, bug["remedy"])]


@functools.cache
def _body_check(dialect: Dialect) -> Callable[[Any], Sequence[Problem]]:
    rules = {name: functools.partial(rule, dialect.service) for name, rule in _RULES.items()}
    return body_check(dialect.service, dialect.request_type, rules)


@functools.cache
def _bugs() -> dict[str, Any]:
    file = importlib.resources.files("batchkit").joinpath("facts", "bugs.json")
    return jsonl.loads(file.read_bytes())["bugs"]


def _named(message: Mapping[str, Any], *names: str) -> tuple[str, Any]:
    """The first of the names whose value is there, with the value; else the first and None."""
    found = ((name, message[name]) for name in names if message.get(name) is not None)
    return next(found, (names[0], None))


def _objects(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Step and value of each object in a list, or of one that stands instead of the list."""
    if jsonl.is_object(value):
        return [("", value)]
    items = value if jsonl.is_list(value) else []
    return [(f"[{i}]", item) for i, item in enumerate(items) if jsonl.is_object(item)]


def _generate(_: Service, request: Mapping[str, Any]) -> list[Problem]:
    contents = request.get("contents")
    if contents is None or contents == []:
        remedy = 'write "contents": [{"role": "user", "parts": [{"text": …}]}]'
        return [Problem("error", "no-contents", ".contents", "missing or empty", remedy)]
    found: list[Problem] = []
    for place, content in _objects(contents):
        found += _content(content, f".contents{place}")
        found += _role(content.get("role"), _ROLES, f".contents{place}.role")
    name, system = _named(request, "systemInstruction", "system_instruction")
    if jsonl.is_object(system):
        found += _role(system.get("role"), (*_ROLES, "system"), f".{name}.role")
    return found


def _role(role: Any, roles: Sequence[str], path: str) -> list[Problem]:
    if not isinstance(role, str) or not role or role in roles:
        return []
    lower = role.lower()
    remedy = f"use {SDK_ROLES.get(lower, lower if lower in roles else 'user or model')}"
    if lower == "system":
        remedy = "move it to systemInstruction"
    return [Problem("error", "bad-role", path, f"the role {role[:40]!r} is refused", remedy)]


def _content(content: Mapping[str, Any], path: str) -> list[Problem]:
    parts = content.get("parts")
    if parts is None or parts == []:
        remedy = 'write "parts": [{"text": …}]'
        return [Problem("error", "no-parts", f"{path}.parts", "missing or empty", remedy)]
    return []


def _embed(service: Service, request: Mapping[str, Any]) -> list[Problem]:
    content = request.get("content")
    if content is None:
        remedy = 'write "content": {"parts": [{"text": …}]}'
        return [Problem("error", "no-content", ".content", "missing", remedy)]
    if not jsonl.is_object(content):
        return []
    texts = [part for _, part in _objects(content.get("parts")) if part.get("text") is not None]
    fused = bug_warnings("texts-fused", service, ".content.parts") if len(texts) > 1 else []
    return [*_content(content, ".content"), *fused]


def _part(service: Service, part: Mapping[str, Any]) -> list[Problem]:
    fields = field_table(service).message("Part") or {}
    given = {
        fields[name].name if name in fields else name
        for name, value in part.items()
        if value is not None
    }
    data = given & _PART_DATA
    if len(data) > 1:
        said = f"{' and '.join(sorted(data))} in one part"
        return [Problem("error", "part-of-two", "", said, "write a part for each")]
    if given <= _PART_EXTRAS:
        return [Problem("error", "empty-part", "", "the part holds nothing", "leave it out")]
    return bug_warnings("empty-text", service, ".text") if part.get("text") == "" else []


def _file(service: Service, file: Mapping[str, Any]) -> list[Problem]:
    """Files-API files live 48 hours; Vertex reads gs:// and public YouTube addresses."""
    name, uri = _named(file, "fileUri", "file_uri")
    path = f".{name}"
    if uri is None:
        return [Problem("error", "no-file", path, "missing", "write the address of the file")]
    if not isinstance(uri, str):
        return []
    uploaded = _UPLOADED.match(uri) is not None
    if service == "gemini" and uploaded:
        remedy = "upload it shortly before the batch, and again if the batch waits long"
        return [Problem("warning", "file-expires", path, "uploaded files live 48 hours", remedy)]
    local = not uri.startswith(("gs://", "https://", "http://"))
    if service == "vertex" and (local or uploaded):
        message = f"Vertex AI cannot read {uri[:60]!r}"
        return [Problem("error", "file-unreachable", path, message, "copy the file to gs://")]
    return []


def _blob(_: Service, blob: Mapping[str, Any]) -> list[Problem]:
    """https://ai.google.dev/gemini-api/docs/image-understanding shows both fields."""
    wanted = (("mimeType", "mime_type"), ("data",))
    lacking = [names[0] for names in wanted if not _named(blob, *names)[1]]
    return [
        Problem("error", "no-data", f".{name}", "missing or empty", "write mimeType and data")
        for name in lacking
    ]


def _generation_config(service: Service, config: Mapping[str, Any]) -> list[Problem]:
    """https://ai.google.dev/api/generate-content#generationconfig says what a schema needs."""
    json_name, json_schema = _named(config, "responseJsonSchema", "response_json_schema")
    name, schema = _named(config, "responseSchema", "response_schema")
    found: list[Problem] = []
    if json_schema is not None:
        found += bug_warnings("json-schema-ignored", service, f".{json_name}")
    if schema is not None and json_schema is not None:
        said = f"{name} stands beside it"
        found.append(Problem("error", "two-schemas", f".{json_name}", said, "write one of them"))
    given = schema is not None or json_schema is not None
    if given and not _named(config, "responseMimeType", "response_mime_type")[1]:
        place = f".{name if schema is not None else json_name}"
        message = "a schema without a response type is refused"
        remedy = 'add "responseMimeType": "application/json"'
        found.append(Problem("error", "schema-without-type", place, message, remedy))
    return found


def _tool(service: Service, tool: Mapping[str, Any]) -> list[Problem]:
    found: list[Problem] = []
    for rule, *names in (
        ("empty-url-context", "urlContext", "url_context"),
        ("empty-google-search", "googleSearch", "google_search"),
    ):
        name, value = _named(tool, *names)
        if value == {}:
            found += bug_warnings(rule, service, f".{name}")
    return found


_RULES: Mapping[str, Callable[[Service, Mapping[str, Any]], Sequence[Problem]]] = MappingProxyType(
    {
        "Blob": _blob,
        "EmbedContentRequest": _embed,
        "FileData": _file,
        "GenerateContentRequest": _generate,
        "GenerationConfig": _generation_config,
        "Part": _part,
        "Tool": _tool,
    }
)
