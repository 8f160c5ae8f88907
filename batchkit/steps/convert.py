"""Convert: a request file in whatever form becomes keyed lines, one request each, in UTF-8."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.durable import SHARED_MODE, whole_file
from batchkit.errors import RowsError
from batchkit.file_check import check_file
from batchkit.mending import mended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.request_check import Report

__all__ = ["convert"]

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def convert(source: str | Path, to: str | Path) -> Report:
    """Write the requests of `source` to `to` as keyed lines, and check what was written.

    Takes bare and keyed lines, a JSON array, UTF-8 with or without a byte order mark, and UTF-16.
    A request without a key is keyed `line-<number>`; fields that stand in the wrong place are
    moved to the right one, and an SDK's `config` is taken apart. What cannot be mended stays, and
    the report says so. Raises RowsError, and writes nothing, for text that is not JSON.
    """
    target = Path(to)
    with whole_file(target, SHARED_MODE) as file:
        for number, item in _items(Path(source)):
            file.write(jsonl.dumps(mended(item, f"line-{number}")) + b"\n")
    return check_file(target)


def _items(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each request."""
    try:
        with path.open("rb") as file:
            start = file.read(4_096)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise RowsError(message) from error
    encoding = "utf-16" if start.startswith(_UTF16) else "utf-8-sig"
    is_array = start.decode(encoding, errors="ignore").lstrip().startswith("[")
    if is_array:
        yield from enumerate(_read(path.read_text(encoding), path, 1), start=1)
        return
    with path.open(encoding=encoding, newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _read(line, path, number)
        except UnicodeDecodeError as error:
            message = f"{path} is not {encoding}: {error}"
            raise RowsError(message) from error


def _read(text: str, path: Path, line: int) -> Any:
    try:
        return jsonl.loads(text)
    except ValueError:
        place, reason = jsonl.fault(text.encode(errors="replace"))
        message = f"{path}, line {line}, {place}: {reason}"
        raise RowsError(message) from None
