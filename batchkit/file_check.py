"""A request file as a whole: its form, its lines, and its size against what a job takes."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from batchkit.limits import file_limits
from batchkit.request_check import LONGEST_LINE_BYTES, Report, check_lines, dialect_named
from batchkit.tables.request_form import Form, read_form
from batchkit.validity import Problem
from batchkit.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from batchkit.wire import Dialect

__all__ = ["check_content", "check_file"]

_SKIPPED_BYTES = 1024**2
_SPLIT = "split it, or build with batchkit"


def check_file(
    path: Path, dialect: Dialect | None = None, limits: Mapping[str, float] | None = None
) -> Report:
    """Check a file; one whose form is wrong is not read any further.

    `limits` overrides what a job takes (`max_bytes`, `max_rows`). TableError when the file cannot
    be read.
    """
    form = read_form(path)
    with path.open("rb") as file:
        return _Check(dialect, limits).report(form, _lines(file), path.stat().st_size)


def check_content(
    lines: Iterable[bytes],
    dialect: Dialect | None = None,
    limits: Mapping[str, float] | None = None,
) -> Report:
    """Check the lines of a file that is nowhere, as `check_file` does."""
    rest = iter(lines)
    first = next(rest, b"")
    return _Check(dialect, limits).report(Form.of(first), chain([first], rest), None)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; of one that is too long, only enough to tell."""
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        yield line
        if len(line) > LONGEST_LINE_BYTES:
            _skip_line(file, line)


def _skip_line(file: IO[bytes], part: bytes) -> None:
    while part and not part.endswith(b"\n"):
        part = file.readline(_SKIPPED_BYTES)


class _Check:
    """What a file is held against: a dialect, when it is given, and what a job takes."""

    def __init__(self, dialect: Dialect | None, limits: Mapping[str, float] | None) -> None:
        self._dialect, self._limits = dialect, limits
        file_limits(DIALECTS[0], limits)  # a limit that is none is refused before the work

    def report(self, form: Form, lines: Iterable[bytes], size: int | None) -> Report:
        if form.fault is not None:
            rule, message, remedy = form.fault
            report = Report(self._dialect.name if self._dialect else None)
            report.add(Problem("error", rule, "$", message, remedy, 1))
            return report
        report = check_lines(lines, self._dialect)
        report.bytes = size or report.bytes
        for problem in self._size(report):
            report.add(problem)
        report.sort()
        return report

    def _size(self, report: Report) -> Iterator[Problem]:
        if report.lines == 0:
            said = "there is no request"
            yield Problem("error", "no-requests", "$", said, "write one JSON object per line")
        named = dialect_named(report.dialect) if report.dialect else DIALECTS[0]
        most = file_limits(named, self._limits)
        if report.bytes > most.max_bytes:
            said = f"the file has {report.bytes:,} bytes, a job takes {most.max_bytes:,}"
            yield Problem("error", "too-large", "$", said, _SPLIT)
        if most.max_rows is not None and report.lines > most.max_rows:
            said = f"{report.lines:,} requests, a job takes {most.max_rows:,}"
            yield Problem("error", "too-many", "$", said, _SPLIT)
