"""A JSON array in a file, cut into its items without reading the whole of it."""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

__all__ = ["array_items"]

# A text, or a bracket or comma outside of any; possessive, so that a long text takes no memory.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
_DEPTHS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SPACE = b" \t\r\n"
_NO_SPACE = re.compile(rb"[^ \t\r\n]")


def array_items(file: IO[bytes]) -> Iterator[bytes]:
    """The text of each item of the array that a file holds in UTF-8, in order.

    The array is cut at its commas; whether an item is JSON is not looked at. ValueError when an
    item is empty, the array does not end, or more follows it.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, depth, count = content.find(b"[") + 1, 1, 0
        for token in _TOKEN.finditer(content, start):
            mark = content[token.start()]
            depth += _DEPTHS.get(mark, 0)
            if depth > 1 or (depth == 1 and mark != ord(",")):
                continue
            item = content[start : token.start()].strip(_SPACE)
            if not item and (count or depth):  # only an empty array has no item at all
                message = f"item {count + 1} of the array is empty"
                raise ValueError(message)
            if item:
                yield item
            count, start = count + 1, token.end()
            if depth == 0:
                break
        if depth == 0 and not _NO_SPACE.search(content, start):
            return
    message = "more follows the array" if depth == 0 else "the array does not end"
    raise ValueError(message)
