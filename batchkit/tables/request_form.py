"""The form of a request file as a whole: how it is encoded, and whether it is lines at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.errors import TableError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Form", "read_form"]

_START_BYTES = 4_096
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Form:
    """How the bytes of a file become requests.

    `encoding` is Python's name for it; `is_array` says that they are one JSON array, `is_spread`
    that a request takes several lines.
    """

    encoding: str = "utf-8"
    is_array: bool = False
    is_spread: bool = False
    is_compressed: bool = False

    @classmethod
    def of(cls, start: bytes) -> Form:
        """The form that the first bytes of a file show."""
        if start.startswith(_GZIP):
            return cls(is_compressed=True)
        encoding = _encoding(start)
        text = start.decode(encoding, errors="ignore").lstrip()
        first, newline, _ = text.partition("\n")
        is_spread = bool(newline) and first.rstrip() == "{"
        return cls(encoding, is_array=text.startswith("["), is_spread=is_spread)

    @property
    def fault(self) -> tuple[str, str, str] | None:
        """Rule, message and remedy of what keeps a service from reading the file, None if nothing.

        A service reads one JSON object per line, in UTF-8, without a byte order mark.
        """
        if self.is_compressed:
            return "compressed", "the file is gzip-compressed", "unpack it first"
        if self.encoding == "utf-8-sig":
            remedy = "`batchkit convert` takes it away"
            return "byte-order-mark", "the file has a byte order mark", remedy
        if self.encoding != "utf-8":
            name = self.encoding[:6].upper()
            return "not-utf8", f"the file is {name}", "`batchkit convert` writes it as UTF-8"
        if self.is_array:
            remedy = "`batchkit convert` writes one request per line"
            return "json-array", "the file is one JSON array", remedy
        if self.is_spread:
            remedy = "write each request on one line, as `jq -c .` does"
            return "spread", "a request is spread over several lines", remedy
        return None


def read_form(path: Path) -> Form:
    """The form of a file; TableError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return Form.of(file.read(_START_BYTES))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise TableError(message) from error


def _encoding(start: bytes) -> str:
    """UTF-8 unless a mark says otherwise, or zero bytes where JSON has an ASCII character."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if start[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" else "utf-8"
