"""Columns of text become JSON, a record batch at a time, without a loop over the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["content", "escape", "join", "join_lists", "line_ends"]

_TEXT = pa.large_string()
_NOTHING = pa.scalar("", _TEXT)
# What JSON text must escape: control characters, the quote and the backslash.
_SPECIAL = r'[\x00-\x1f"\\]'


def escape(texts: pa.Array) -> pa.Array:
    """Each text as the inside of a JSON string, without the quotes; null stays null."""
    special = pc.match_substring_regex(texts, _SPECIAL)
    if not pc.any(special).as_py():
        return texts
    written = (jsonl.dumps(text)[1:-1].decode() for text in texts.filter(special).to_pylist())
    replacements = pa.array(written, texts.type)
    return pc.replace_with_mask(texts, pc.fill_null(special, fill_value=False), replacements)


def join(segments: Sequence[bytes | pa.Array]) -> pa.Array:
    """The segments side by side, row by row, as large_string; null where any of them is null.

    Constant bytes stand in every row; at least one segment must be an array.
    """
    arguments = [
        pa.scalar(segment.decode(), _TEXT) if isinstance(segment, bytes) else segment.cast(_TEXT)
        for segment in segments
    ]
    return pc.binary_join_element_wise(*arguments, _NOTHING, null_handling="emit_null")


def join_lists(items: pa.Array, lengths: NDArray[np.int64]) -> pa.Array:
    """The items (large_string, no nulls) of each list as one text, with commas between them.

    `lengths` are those of the lists, which follow one another in `items` and leave none over.
    """
    stops = np.cumsum(lengths)
    is_last = np.zeros(len(items), np.bool_)
    is_last[stops[lengths > 0] - 1] = True
    separated = join([items, pc.if_else(pa.array(is_last), "", ",")])
    # Items that follow one another are one text already: only the bounds are new.
    ends = _bounds(separated)[np.concatenate([[0], stops])]
    buffers = [None, pa.py_buffer(ends), separated.buffers()[2]]
    return pa.Array.from_buffers(_TEXT, len(lengths), buffers)


def line_ends(lines: pa.Array) -> NDArray[np.int64]:
    """Where each line ends in `content(lines)`; a null line has no bytes."""
    bounds = _bounds(lines)
    return bounds[1:] - bounds[0]


def content(lines: pa.Array) -> memoryview:
    """All lines, one after the other, as the bytes of a file; no copy is made."""
    values = lines.buffers()[2]
    bounds = _bounds(lines)
    return memoryview(values or b"")[bounds[0] : bounds[-1]]


def _bounds(lines: pa.Array) -> NDArray[np.int64]:
    offsets = lines.buffers()[1]
    if offsets is None:  # an array of no lines may have no buffers
        return np.zeros(1, np.int64)
    return np.frombuffer(memoryview(offsets), np.int64)[lines.offset :][: len(lines) + 1]
