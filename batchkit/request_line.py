"""One request line: its key, its request, and what may not stand beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.fields import field_table
from batchkit.rules import bug_warnings, check_request
from batchkit.stray import SDK_CONFIG
from batchkit.validity import Problem, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.wire import Dialect

__all__ = ["check_line", "other_model"]

_KEY_REMEDY = "give each request a key of its own; `batchkit convert` does"
# What only lines of output files have.
_ANSWER = frozenset({"response", "error", "predictions"})


def check_line(item: Any, dialect: Dialect) -> Iterator[Problem]:
    """All problems of one request line, keyed or bare."""
    if not jsonl.is_object(item):
        said = "the line is not an object"
        yield Problem("error", "not-an-object", "$", said, 'write {"key": …, "request": {…}}')
    elif item.keys() & _ANSWER and not item.keys() & {"contents", "content", "config"}:
        said = "this is a line of an output file"
        yield Problem("error", "output-line", "$", said, "`bk.read_responses` reads it")
    elif not dialect.wrapped:
        yield from _legacy_line(item)
    elif "request" in item:
        yield from _key(item, dialect)
        for name in item:
            if name not in {"key", "request"}:
                yield _beside(name, dialect)
        yield from check_request(item["request"], dialect)
    else:
        yield from _bare_line(item, dialect)


def other_model(body: Any, model: str, path: str = "$.request") -> Iterator[Problem]:
    """A problem when a request names another model than its job's, which would fail the job."""
    named = body.get("model") if jsonl.is_object(body) else None
    if isinstance(named, str) and named and named.removeprefix("models/") != model:
        message = f"the model {named!r} is not that of the job, {model!r}"
        remedy = "leave it out, or write a file for each model"
        yield Problem("error", "other-model", f"{path}.model", message, remedy)


def _legacy_line(item: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(item.get("content"), str) or not item["content"]:
        yield Problem("error", "no-content", "$.content", "missing or no text", "write a text")
    message = "legacy models echo no key: answers are told apart by their text only"
    yield Problem("warning", "no-key", "$", message, "use gemini-embedding-001")


def _bare_line(item: dict[str, Any], dialect: Dialect) -> Iterator[Problem]:
    """A request that is the whole line: it may go out, but its answer has no name."""
    if "key" in item:
        remedy = 'write {"key": …, "request": {…}}; `batchkit convert` does'
        yield Problem("error", "misplaced-key", "$.key", "a key beside a bare request", remedy)
    elif dialect.keyed:
        message = "a bare request: its answer could not be joined"
        yield Problem("warning", "no-key", "$.key", message, _KEY_REMEDY)
    yield from check_request({k: v for k, v in item.items() if k != "key"}, dialect, "$")


def _key(item: Mapping[str, Any], dialect: Dialect) -> Iterator[Problem]:
    key = item.get("key")
    if key is None:
        if dialect.keyed:
            yield Problem("warning", "no-key", "$.key", "missing", _KEY_REMEDY)
    elif not isinstance(key, str):
        yield Problem("error", "bad-key", "$.key", "the key is no text", 'write it as "…"')
    elif not key:
        yield Problem("error", "bad-key", "$.key", "the key is empty", _KEY_REMEDY)
    elif "\0" in key:
        yield Problem("error", "bad-key", "$.key", "the key holds a NUL character", _KEY_REMEDY)
    elif not dialect.keyed:
        yield from bug_warnings("key-on-vertex", dialect.service, "$.key")


def _beside(name: str, dialect: Dialect) -> Problem:
    """A field beside `request`, where only the key may stand."""
    path = f"${step(name)}"
    fields = field_table(dialect.service).message(dialect.request_type) or {}
    if name in fields:
        remedy = f"did you mean request.{fields[name].name}?"
        return Problem("error", "misplaced-field", path, "unknown field", remedy)
    if name == "config":
        return Problem("error", SDK_CONFIG.rule, path, "unknown field", SDK_CONFIG.remedy)
    remedy = "only key and request may stand on a line"
    if name in {"custom_id", "id", "metadata"}:
        remedy = "did you mean key?"
    return Problem("error", "unknown-field", path, "unknown field", remedy)
