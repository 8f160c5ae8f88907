"""Ranges of bytes: those a download asks for, and those an upload says it sends."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchkit.emulator.storage.errors import StorageError, invalid

__all__ = ["ContentRange", "content_range", "requested_range"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18}|\*)|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """What a request to an upload session carries: bytes `start` up to `stop` of `total`.

    `start` is None when it carries nothing and only asks. `stop` and `total` are None when they
    are not said.
    """

    start: int | None
    stop: int | None
    total: int | None


def requested_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a `Range` header, None for the whole; StorageError 416 beyond the end.

    What is no range, or more than one, is no reason to refuse: RFC 9110, section 14.2.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        raise StorageError(
            416,
            "Request range not satisfiable",
            reason="requestedRangeNotSatisfiable",
            xml_code="InvalidRange",
            headers=(("Content-Range", f"bytes */{size}"),),
        )
    return start, stop


def content_range(header: str | None) -> ContentRange:
    """A `Content-Range` header; without one a request carries everything, of whatever size.

    https://cloud.google.com/storage/docs/performing-resumable-uploads
    """
    if header is None:
        return ContentRange(0, None, None)
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        text = f"Failed to parse Content-Range header: {header}"
        raise invalid(text)
    first, last, total = (None if text in {None, "*"} else int(text) for text in match.groups())
    if first is not None and last is not None and last < first:
        text = f"Invalid Content-Range header: {header}"
        raise invalid(text)
    return ContentRange(first, None if last is None else last + 1, total)
