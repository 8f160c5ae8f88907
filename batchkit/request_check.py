"""A request file held against the service that is to read it: line by line, offline."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import SetupError
from batchkit.fields import field_table
from batchkit.key import bad_keys
from batchkit.rules import check_request
from batchkit.validity import Problem
from batchkit.wire import DIALECTS, Dialect, dialect_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchkit.wire import Kind

__all__ = ["Report", "check_lines", "detect_dialect", "dialect_named"]

_KEPT_PROBLEMS = 1_000
_KEYS_PER_BATCH = 65_536
_KEY_AT_START = re.compile(rb'^\s*\{\s*"key"\s*:\s*("(?:[^"\\]|\\.)*")')
_VERTEX_EMBEDDING = {"embed_content_config", "embedContentConfig", "autoTruncate", "auto_truncate"}
_KEY_REMEDY = "give each request a key of its own; `batchkit convert` does"


@dataclass
class Report:
    """What a check found: `ok` when nothing is an error.

    `problems` are in the order of the lines, the first thousand of them; `counts` has all, by
    severity and rule.
    """

    dialect: str | None = None
    lines: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return self.errors == 0

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return sum(n for (severity, _), n in self.counts.items() if severity == "error")

    @property
    def warnings(self) -> int:
        """How many warnings there are."""
        return sum(n for (severity, _), n in self.counts.items() if severity == "warning")

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it among the first."""
        self.counts[problem.severity, problem.rule] += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)

    def __str__(self) -> str:
        said = [f"{problem.severity}: {problem}" for problem in self.problems]
        left = sum(self.counts.values()) - len(self.problems)
        if left:
            said.append(f"… and {left:,} more")
        found = f"{self.errors:,} errors, {self.warnings:,} warnings"
        return "\n".join([*said, f"{self.lines:,} lines of {self.dialect}: {found}"])


def dialect_named(name: str) -> Dialect:
    """The dialect of this name; SetupError when there is none."""
    found = next((dialect for dialect in DIALECTS if dialect.name == name), None)
    if found is None:
        message = f"dialect {name!r}: there are {', '.join(d.name for d in DIALECTS)}"
        raise SetupError(message)
    return found


def detect_dialect(item: Any) -> Dialect:
    """The dialect that a line is most likely written in."""
    if not jsonl.is_object(item):
        return DIALECTS[0]
    if isinstance(item.get("content"), str) and "request" not in item:
        return dialect_named("vertex-embed-legacy")
    body = item.get("request", item)
    if not jsonl.is_object(body):
        return DIALECTS[0]
    kind: Kind = "embed" if "content" in body and "contents" not in body else "generate"
    is_vertex = bool(_VERTEX_EMBEDDING & body.keys())
    if kind == "generate":
        is_vertex = "request" in item and "key" not in item
    return dialect_for("vertex" if is_vertex else "gemini", kind)


def check_lines(lines: Iterable[bytes], dialect: Dialect | None = None) -> Report:
    """Check every line; without a dialect, that of the first line that can be read."""
    report = Report(dialect.name if dialect else None)
    keys = _Keys()
    for number, line in jsonl.lines(lines):
        report.lines += 1
        try:
            item = jsonl.loads(line)
        except ValueError:
            report.add(_broken(number, line))
            continue
        if dialect is None:
            dialect = detect_dialect(item)
            report.dialect = dialect.name
        key, problems = _check_item(item, dialect)
        for problem in problems:
            report.add(replace(problem, line=number, key=key))
        keys.add(number, key)
    for problem in keys.repeated():
        report.add(problem)
    report.problems.sort(key=lambda problem: problem.line or 0)
    return report


def _broken(number: int, line: bytes) -> Problem:
    path, reason = jsonl.fault(line)
    start = _KEY_AT_START.match(line)
    key = str(jsonl.loads(start[1])) if start else None
    remedy = "write the line again, whole" if "ends in the middle" in reason else None
    if path != "$":
        remedy = "leave the field out, or write a number"
    return Problem("error", "not-json", path, reason, remedy, number, key)


def _check_item(item: Any, dialect: Dialect) -> tuple[str | None, Iterator[Problem]]:
    if not jsonl.is_object(item):
        said = "the line is not an object"
        return None, iter([Problem("error", "not-an-object", "$", said, "write one per line")])
    key = item.get("key")
    name = key if isinstance(key, str) else None
    if not dialect.wrapped:
        return name, _check_legacy(item)
    return name, _check_line(item, dialect)


def _check_legacy(item: dict[str, Any]) -> Iterator[Problem]:
    if not isinstance(item.get("content"), str) or not item["content"]:
        yield Problem("error", "no-content", "$.content", "missing or no text", "write a text")
    message = "legacy models echo no key: answers are told apart by their text only"
    yield Problem("warning", "no-key", "$", message, "use gemini-embedding-001")


def _check_line(item: dict[str, Any], dialect: Dialect) -> Iterator[Problem]:
    if "request" not in item:
        yield from _check_bare(item, dialect)
        return
    yield from _check_key(item, dialect)
    for name in item:
        if name not in {"key", "request"}:
            yield _outside(name, dialect)
    yield from check_request(item["request"], dialect)


def _check_bare(item: dict[str, Any], dialect: Dialect) -> Iterator[Problem]:
    """A request that is the whole line: it may go out, but its answer has no name."""
    if "key" in item:
        remedy = 'write {"key": …, "request": {…}}; `batchkit convert` does'
        yield Problem("error", "misplaced-key", "$.key", "a key beside a bare request", remedy)
    elif dialect.keyed:
        message = "a bare request: its answer could not be joined"
        yield Problem("warning", "no-key", "$.key", message, _KEY_REMEDY)
    yield from check_request({k: v for k, v in item.items() if k != "key"}, dialect, "$")


def _check_key(item: dict[str, Any], dialect: Dialect) -> Iterator[Problem]:
    if "key" not in item:
        if dialect.keyed:
            yield Problem("warning", "no-key", "$.key", "missing", _KEY_REMEDY)
    elif not isinstance(item["key"], str):
        yield Problem("error", "bad-key", "$.key", "the key is no text", 'write it as "…"')
    elif not item["key"]:
        yield Problem("error", "bad-key", "$.key", "the key is empty", _KEY_REMEDY)


def _outside(name: str, dialect: Dialect) -> Problem:
    """A field beside `request`, where only the key may stand."""
    fields = field_table(dialect.service).message(dialect.request_type) or {}
    if name in fields:
        remedy = f"did you mean request.{fields[name].name}?"
        return Problem("error", "misplaced-field", f"$.{name}", "unknown field", remedy)
    remedy = "only key and request may stand on a line"
    if name == "custom_id":
        remedy = "did you mean key?"
    return Problem("error", "unknown-field", f"$.{name}", "unknown field", remedy)


class _Keys:
    """All keys of a file with their lines, to find those that are there twice."""

    def __init__(self) -> None:
        self._batches: list[tuple[pa.Array, tuple[int, ...]]] = []
        self._held: list[tuple[int, str]] = []

    def add(self, line: int, key: str | None) -> None:
        if key:
            self._held.append((line, key))
            if len(self._held) == _KEYS_PER_BATCH:
                self._close_batch()

    def _close_batch(self) -> None:
        if self._held:
            numbers, keys = zip(*self._held, strict=True)
            self._batches.append((pa.array(keys, pa.large_string()), numbers))
            self._held = []

    def repeated(self) -> Iterator[Problem]:
        self._close_batch()
        lines: list[int] = [number for _, numbers in self._batches for number in numbers]
        with tempfile.TemporaryDirectory(prefix="batchkit-") as scratch:
            batches = bad_keys(self._read, Path(scratch))
            found = [bad for batch in batches for bad in batch.to_pylist()]
        for bad in found:
            row: int = bad["row"]
            first = re.search(r"of row (\d+)$", bad["reason"])
            said = f"the key of line {lines[int(first[1])]} again" if first else bad["reason"]
            remedy = "answers are joined by key: give each line one of its own"
            yield Problem("error", "duplicate-key", "$.key", said, remedy, lines[row], bad["key"])

    def _read(self) -> Iterator[tuple[int, pa.Array]]:
        row = 0
        for keys, _ in self._batches:
            yield row, keys
            row += len(keys)
