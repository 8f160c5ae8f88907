"""A request file held against the service that is to read it: line by line, offline."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pyarrow import ipc

from batchkit import jsonl
from batchkit.errors import SetupError
from batchkit.key import bad_keys
from batchkit.limits import ending_model
from batchkit.request_line import check_line, other_model
from batchkit.tables.broken_line import broken_line
from batchkit.validity import Problem
from batchkit.wire import DIALECTS, Dialect, dialect_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchkit.wire import Kind

__all__ = ["Report", "check_lines", "detect_dialect", "dialect_named"]

_KEPT_PER_RULE = 200
_KEYS_PER_BATCH = 65_536
# What is read to find out the dialect, and kept meanwhile.
_SAMPLE_LINES = 100
_SAMPLE_BYTES = 1_000_000
# No documented limit: what keeps one line from filling the memory. Inlined bodies end at 20 MB.
LONGEST_LINE_BYTES = 64 * 1024**2
_VERTEX_EMBEDDING = {"embed_content_config", "embedContentConfig", "autoTruncate", "auto_truncate"}
_LARGE = "upload large content by itself, and name it in fileData"
_DUPLICATE: tuple[Literal["error"], str] = ("error", "duplicate-key")
_KEYS = pa.schema([("line", pa.int64()), ("key", pa.large_string())])


@dataclass
class Report:
    """What a check found: `ok` when nothing is an error.

    `problems` are in the order of the lines, the first two hundred of each rule; `counts` has
    all, by severity and rule. `bytes` is the size of the lines.
    """

    dialect: str | None = None
    lines: int = 0
    bytes: int = 0
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
        """Count a problem, and keep it while it is among the first of its rule."""
        counted = (problem.severity, problem.rule)
        self.counts[counted] += 1
        if self.counts[counted] <= _KEPT_PER_RULE:
            self.problems.append(problem)

    def sort(self) -> None:
        """Put the problems in the order of the lines, those of the whole file first."""
        self.problems.sort(key=lambda problem: problem.line or 0)

    def __str__(self) -> str:
        said = [f"{problem.severity}: {problem}" for problem in self.problems]
        left = sum(self.counts.values()) - len(self.problems)
        if left:
            said.append(f"… and {left:,} more of the same kinds")
        what = _counted(self.lines, "line") + (f" of {self.dialect}" if self.dialect else "")
        found = f"{_counted(self.errors, 'error')}, {_counted(self.warnings, 'warning')}"
        return "\n".join([*said, f"{what}: {found}"])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


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


def _detected(sample: list[bytes]) -> Dialect | None:
    """The dialect of the first lines of a file; what one of them shows holds for all."""
    found = [detect_dialect(item) for item in _objects(sample)]
    if not found:
        return None
    if found[0].kind == "generate":
        service = "gemini" if dialect_for("gemini", "generate") in found else "vertex"
        return dialect_for(service, "generate")
    return next((d for d in found if d.service == "vertex" and d.kind == "embed"), found[0])


def _objects(lines: list[bytes]) -> Iterator[Any]:
    for line in lines:
        if len(line) > LONGEST_LINE_BYTES:
            continue
        try:
            item = jsonl.loads(line)
        except ValueError:
            continue
        if jsonl.is_object(item):
            yield item


def check_lines(lines: Iterable[bytes], dialect: Dialect | None = None) -> Report:
    """Check every line; without a dialect, that of the first lines that can be read.

    Memory is bounded by the longest line; keys are kept on disk meanwhile.
    """
    counted = _Counted(lines)
    sample = _sample(counted) if dialect is None else []
    dialect = dialect or _detected([line for _, line in sample])
    report = Report(dialect.name if dialect else None)
    with tempfile.TemporaryDirectory(prefix="batchkit-") as scratch:
        keys = _Keys(Path(scratch))
        checker = _Checker(dialect or DIALECTS[0], report, keys)
        for number, line in chain(sample, counted):
            checker.check(number, line)
        keys.tell(report)
    report.bytes = counted.bytes
    report.sort()
    return report


class _Counted:
    """The lines that are not blank, numbered, and the bytes of all."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.bytes = 0
        self._numbered = jsonl.lines(self._count(lines))

    def _count(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            self.bytes += len(line)
            yield line

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self._numbered


def _sample(lines: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    sample: list[tuple[int, bytes]] = []
    size = 0
    for number, line in lines:
        sample.append((number, line))
        size += len(line)
        if len(sample) == _SAMPLE_LINES or size >= _SAMPLE_BYTES:
            break
    return sample


@dataclass
class _Checker:
    """What is the same for all lines of a file while they come by."""

    dialect: Dialect
    report: Report
    keys: _Keys
    model: str | None = None

    def check(self, number: int, line: bytes) -> None:
        self.report.lines += 1
        if len(line) > LONGEST_LINE_BYTES:
            said = f"the line has more than {LONGEST_LINE_BYTES:,} bytes"
            self.report.add(Problem("error", "long-line", "$", said, _LARGE, number))
            return
        try:
            item = jsonl.loads(line)
        except ValueError:
            self.report.add(replace(broken_line(line), line=number))
            return
        key = item.get("key") if jsonl.is_object(item) else None
        key = key if isinstance(key, str) else None
        for problem in chain(check_line(item, self.dialect), self._model(item)):
            self.report.add(replace(problem, line=number, key=key))
        if key and "\0" not in key:
            self.keys.add(number, key)

    def _model(self, item: Any) -> Iterator[Problem]:
        """All requests of a file go to one model: the first that is named, and a living one."""
        body = item.get("request", item) if jsonl.is_object(item) else None
        named = body.get("model") if jsonl.is_object(body) else None
        if not isinstance(named, str) or not named:
            return
        path = "$.request" if "request" in item else "$"
        if self.model is not None:
            yield from other_model(body, self.model, path)
            return
        self.model = named.removeprefix("models/")
        ending = ending_model(self.model, dt.datetime.now(dt.UTC).date())
        if ending and self.dialect.service == "gemini":
            yield Problem("warning", "ending-model", f"{path}.model", ending)


class _Keys:
    """All keys of a file with their lines, on disk, to find those that are there twice."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._path = scratch / "keys.arrow"
        self._file = self._path.open("wb")
        self._writer = ipc.new_file(self._file, _KEYS)
        self._lines: list[int] = []
        self._texts: list[str] = []

    def add(self, line: int, key: str) -> None:
        self._lines.append(line)
        self._texts.append(key)
        if len(self._lines) == _KEYS_PER_BATCH:
            self._write()

    def _write(self) -> None:
        columns = [pa.array(self._lines, pa.int64()), pa.array(self._texts, pa.large_string())]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_KEYS))
        self._lines, self._texts = [], []

    def tell(self, report: Report) -> None:
        """A problem for each line whose key an earlier one has; ends the writing."""
        self._write()
        self._writer.close()
        self._file.close()
        with pa.memory_map(str(self._path)) as source:
            written = ipc.open_file(source)
            for batch in bad_keys(lambda: _batches(written), self._scratch):
                shown = batch.slice(0, max(0, _KEPT_PER_RULE - report.counts[_DUPLICATE]))
                for bad in shown.to_pylist():
                    report.add(_repeated(written, bad))
                report.counts[_DUPLICATE] += batch.num_rows - shown.num_rows


def _repeated(written: ipc.RecordBatchFileReader, bad: dict[str, Any]) -> Problem:
    first = int(bad["reason"].rpartition(" ")[2])
    said = f"the key of line {_line(written, first)} again"
    remedy = "answers are joined by key: give each line one of its own"
    return Problem(*_DUPLICATE, "$.key", said, remedy, _line(written, bad["row"]), bad["key"])


def _batches(written: ipc.RecordBatchFileReader) -> Iterator[tuple[int, pa.Array]]:
    for index in range(written.num_record_batches):
        yield index * _KEYS_PER_BATCH, written.get_batch(index).column("key")


def _line(written: ipc.RecordBatchFileReader, row: int) -> int:
    index, offset = divmod(row, _KEYS_PER_BATCH)
    return written.get_batch(index).column("line")[offset].as_py()
