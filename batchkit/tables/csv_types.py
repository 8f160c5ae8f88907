"""Which columns of a CSV file are text: those whose values a guessed type would change.

`007` is not 7, a number of twenty digits is no float, `10:00` names no seconds, and 1.9 and 1.10
are two versions. A float may lose zeros at its end where all values of the column are as long.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from batchkit.text import text_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["changed_columns"]

_TEXT = pa.large_string()


def changed_columns(typed: Iterable[pa.RecordBatch], plain: Iterable[pa.RecordBatch]) -> list[str]:
    """The columns of `typed` that would not be written back as they stand in `plain`, as text."""
    changed: dict[str, None] = {}
    scales: dict[str, set[int]] = {}
    padded: set[str] = set()
    for guessed, given in zip(typed, plain, strict=True):
        for name, values in zip(guessed.schema.names, guessed.columns, strict=True):
            compare = next((same for is_kind, same in _KINDS if is_kind(values.type)), None)
            if compare is None or name in changed:
                continue
            texts = given.column(name).cast(_TEXT)
            if not compare(values, texts):
                changed[name] = None
            elif pa.types.is_floating(values.type):
                scales.setdefault(name, set()).update(_scales(texts))
                if _is_padded(texts):
                    padded.add(name)
    return [*changed, *(name for name in padded if len(scales[name]) > 1)]


def _all(same: pa.Array) -> bool:
    """Whether it is true of every value that there is."""
    return pc.all(same).as_py() is not False


def _same_integers(values: pa.Array, texts: pa.Array) -> bool:
    return _all(pc.equal(values.cast(_TEXT), texts))


def _same_flags(values: pa.Array, texts: pa.Array) -> bool:
    return _all(pc.equal(values.cast(_TEXT), pc.utf8_lower(texts)))


def _same_times(values: pa.Array, texts: pa.Array) -> bool:
    """In ISO 8601, a blank may stand for the T, Z for the zone, and zeros at the end."""
    for pattern, instead in ((r"^(\S+) ", r"\1T"), (r"Z$", "+00:00"), _ZEROS, _POINT):
        texts = pc.replace_substring_regex(texts, pattern, instead)
    return _all(pc.equal(text_column(values), texts))


def _same_floats(values: pa.Array, texts: pa.Array) -> bool:
    """The same numbers: digits that a float cannot hold are a change, and so are leading zeros."""
    differing = pc.not_equal(values.cast(_TEXT), texts)
    pairs = zip(
        values.filter(differing).to_pylist(), texts.filter(differing).to_pylist(), strict=True
    )
    return not _any(pc.match_substring_regex(texts, r"^-?0\d")) and all(
        _is_same_float(value, text) for value, text in pairs
    )


def _is_same_float(value: float, text: str) -> bool:
    if math.isfinite(value):
        return Decimal(repr(value)) == Decimal(text)
    return str(value) == text.lower().removesuffix("inity")


def _any(found: pa.Array) -> bool:
    return pc.any(found).as_py() is True


def _scales(texts: pa.Array) -> set[int]:
    """How many digits stand after the point."""
    digits = pc.replace_substring_regex(texts, r"^[^.]*\.?", "")
    return set(pc.binary_length(digits).unique().to_pylist()) - {None}


def _is_padded(texts: pa.Array) -> bool:
    """Whether a number ends in zeros that it would lose, other than the one in `1.0`."""
    return _any(pc.match_substring_regex(texts, r"\.\d+0$"))


_ZEROS = (r"(\.\d*?)0+([+-]\d\d:\d\d)?$", r"\1\2")
_POINT = (r"\.([+-]\d\d:\d\d)?$", r"\1")
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, pa.Array], bool]], ...] = (
    (pa.types.is_integer, _same_integers),
    (pa.types.is_floating, _same_floats),
    (pa.types.is_boolean, _same_flags),
    (pa.types.is_date, _same_times),
    (pa.types.is_time, _same_times),
    (pa.types.is_timestamp, _same_times),
)
