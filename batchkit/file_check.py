"""A request file as a whole: its encoding, its form, its size, and then its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.errors import RowsError
from batchkit.limits import service_limit
from batchkit.request_check import Report, check_lines, dialect_named
from batchkit.validity import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.wire import Dialect

__all__ = ["check_file"]

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


def check_file(path: Path, dialect: Dialect | None = None) -> Report:
    """Check a file; one whose form is wrong is not read any further."""
    form = _check_form(path)
    if form is not None:
        report = Report(dialect.name if dialect else None)
        report.add(form)
        return report
    with path.open("rb") as file:
        report = check_lines(file, dialect)
    for problem in _check_size(path, report):
        report.add(problem)
    return report


def _check_form(path: Path) -> Problem | None:
    """What makes the file as a whole unreadable, if anything."""
    try:
        with path.open("rb") as file:
            start = file.read(4_096)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise RowsError(message) from error
    if start.startswith(_UTF16):
        remedy = "`batchkit convert` writes it as UTF-8"
        return Problem("error", "not-utf8", "$", "the file is UTF-16", remedy, 1)
    if start.startswith(_BOM):
        remedy = "`batchkit convert` takes it away"
        return Problem("error", "byte-order-mark", "$", "the file has a byte order mark", remedy, 1)
    if start.lstrip().startswith(b"["):
        remedy = "`batchkit convert` writes one request per line"
        return Problem("error", "json-array", "$", "the file is one JSON array", remedy, 1)
    return None


def _check_size(path: Path, report: Report) -> Iterator[Problem]:
    service = dialect_named(report.dialect).service if report.dialect else "gemini"
    most = service_limit(service, "max_file_bytes")
    size = path.stat().st_size
    if size > most:
        message = f"the file has {size:,} bytes, a job takes {most:,}"
        yield Problem("error", "too-large", "$", message, "split it, or build with batchkit")
    if report.lines == 0:
        yield Problem("error", "no-requests", "$", "the file holds no request")
    if service == "vertex" and report.lines > service_limit("vertex", "max_rows"):
        message = f"{report.lines:,} requests, a job takes {service_limit('vertex', 'max_rows'):,}"
        yield Problem("error", "too-many", "$", message, "split it, or build with batchkit")
