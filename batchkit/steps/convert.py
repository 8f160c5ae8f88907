"""Convert: a request file in whatever form becomes keyed lines, one request each, in UTF-8."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.durable import SHARED_MODE, whole_file
from batchkit.errors import RowsError
from batchkit.file_check import check_file
from batchkit.mending import given_key, mended
from batchkit.tables.broken_line import broken_line
from batchkit.tables.json_array import array_items
from batchkit.tables.request_form import Form, read_form
from batchkit.tables.request_lines import free_prefix

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from batchkit.request_check import Report

__all__ = ["convert"]

_COPIED_CHARACTERS = 1_000_000


def convert(source: str | Path, to: str | Path) -> Report:
    """Write the requests of `source` to `to` as keyed lines, and check what was written.

    Requests that Vertex AI generates from come out as the Developer API reads them: keyed.
    Takes bare and keyed lines, a JSON array, UTF-8 with or without a byte order mark, and UTF-16.
    A request without a key is keyed `line-<number>` (`line2-<number>`, … where keys of the file
    begin so); fields that stand in the wrong place are moved to the right one, an SDK's `config`
    is taken apart, its texts become contents and its roles the API's. Nothing is overwritten: what
    cannot be mended stays, and the report says so. Raises RowsError, and writes nothing, for text
    that is not JSON.
    """
    origin, target = Path(source), Path(to)
    form = read_form(origin)
    fault = replace(form, encoding="utf-8", is_array=False).fault
    if fault is not None:
        message = f"{origin}: {fault[1]}; {fault[2]}"
        raise RowsError(message)
    with _in_utf8(origin, form) as path, whole_file(target, SHARED_MODE) as file:
        prefix: str | None = None
        for number, item in _items(path, form, origin):
            key = given_key(item)
            if key is None:
                prefix = prefix or free_prefix(given_key(i) for _, i in _items(path, form, origin))
                key = f"{prefix}{number}"
            file.write(jsonl.dumps(mended(item, key)) + b"\n")
    return check_file(target)


@contextmanager
def _in_utf8(origin: Path, form: Form) -> Generator[Path]:
    """The file itself, or a copy of it in UTF-8 without a mark."""
    if form.encoding == "utf-8":
        yield origin
        return
    with tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
        copy = Path(folder) / "requests"
        try:
            with (
                origin.open(encoding=form.encoding, newline="") as text,
                copy.open("w", encoding="utf-8", newline="") as file,
            ):
                while part := text.read(_COPIED_CHARACTERS):
                    file.write(part)
        except UnicodeDecodeError as error:
            message = f"{origin} is not {form.encoding}: {error}"
            raise RowsError(message) from error
        yield copy


def _items(path: Path, form: Form, origin: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each request; errors name the file that the user knows."""
    what = "item" if form.is_array else "line"
    with path.open("rb") as file:
        texts = enumerate(array_items(file), start=1) if form.is_array else jsonl.lines(file)
        try:
            for number, text in texts:
                yield number, _read(text, f"{origin}, {what} {number}")
        except ValueError as error:
            message = f"{origin}: {error}"
            raise RowsError(message) from error


def _read(text: bytes, place: str) -> Any:
    try:
        return jsonl.loads(text)
    except ValueError:
        message = f"{place}, {broken_line(text)}"
        raise RowsError(message) from None
