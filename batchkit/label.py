"""Labels: how a row is named on its way through Vertex AI, whose lines have no documented key.

A label is `bk-`, eight characters for the run and eight for the row's number, in base 32; it never
holds the user's key. Labels may have 63 characters of a-z, 0-9, `_` and `-`:
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/add-labels-to-api-calls
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchkit import jsonl
from batchkit.canonical import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["LABEL_COLUMN", "label_of", "labelled_row", "row_labels", "run_tag"]

# Under this name the labels of a batch stand beside its columns; no table has such a name.
LABEL_COLUMN = "\0label"

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = np.frombuffer(_ALPHABET, np.uint8)
_SHIFTS = np.arange(35, -1, -5, dtype=np.int64)  # eight digits of five bits
_WIDTH = 3 + 8 + 8


def run_tag(run_id: str) -> str:
    """Eight characters that tell the labels of one run from those of another."""
    digest = hashlib.sha256(run_id.encode()).digest()
    return base64.b32encode(digest[:5]).decode().lower()


def row_labels(tag: str, rows: NDArray[np.int64]) -> pa.Array:
    """The labels of rows by their numbers, as large_string; no loop over the rows."""
    count = len(rows)
    texts = np.empty((count, _WIDTH), np.uint8)
    texts[:, : _WIDTH - 8] = np.frombuffer(f"bk-{tag}".encode(), np.uint8)
    texts[:, _WIDTH - 8 :] = _LETTERS[(rows[:, None] >> _SHIFTS) & 31]
    offsets = np.arange(0, (count + 1) * _WIDTH, _WIDTH, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(texts.tobytes())]
    return pa.Array.from_buffers(pa.large_string(), count, buffers)


def label_of(request: Mapping[str, Any]) -> str | None:
    """Our label in an echoed request, None without one."""
    labels = request.get("labels")
    value = labels.get(LABEL) if jsonl.is_object(labels) else None
    return value if isinstance(value, str) else None


def labelled_row(label: str, tag: str) -> int | None:
    """The number of the row that a label names, None for one of another run, or none of ours."""
    digits = label.removeprefix(f"bk-{tag}").encode()
    if len(label) != _WIDTH or len(digits) != len(_SHIFTS):
        return None
    row = 0
    for digit in digits:
        value = _ALPHABET.find(digit)
        if value < 0:
            return None
        row = row << 5 | value
    return row
