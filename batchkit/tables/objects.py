"""Columns of Python objects: what Arrow makes of them, and the objects again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Altered", "ObjectForm", "object_form", "restored_objects"]

_FIRST_ROWS, _MOST_ROWS = 16, 65_536


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """How the values of a column are objects: Python's own, tuples or pandas'; and its null.

    Both are names, to be written down.
    """

    shape: str
    null: str


@dataclass(frozen=True, slots=True)
class Altered:
    """A value that Arrow would not give back as it was: its row, and both forms of it."""

    row: int
    given: Any
    back: Any


def object_form(values: NDArray[Any], column: pa.ChunkedArray) -> ObjectForm | Altered:
    """The form in which Arrow gives all values back; else the first value that it alters.

    Nulls of several kinds (None, NaN, NA) in one column come back as the first of them.
    """
    altered = Altered(-1, None, None)
    for shape in _SHAPES:
        found = _first_altered(values, column, shape)
        if found is None:
            nulls = values[_nulls_of(values)]
            return ObjectForm(shape, type(nulls[0] if len(nulls) else None).__name__)
        altered = max(altered, found, key=_row)
    return altered


def restored_objects(column: pa.ChunkedArray, form: ObjectForm) -> NDArray[Any]:
    """The objects of a column in this form."""
    null = _null(form.null)
    restored = np.empty(len(column), object)
    for start, part in _parts(column, form.shape):
        part[[value is None for value in part]] = null
        restored[start : start + len(part)] = part
    return restored


def _row(altered: Altered) -> int:
    return altered.row


def _first_altered(values: NDArray[Any], column: pa.ChunkedArray, shape: str) -> Altered | None:
    for start, part in _parts(column, shape):
        given = values[start : start + len(part)].copy()
        given[_nulls_of(given)] = None
        if not _are_equal(given, part):
            for row, back in enumerate(part, start):
                if not _is_same(values[row], back):
                    return Altered(row, values[row], back)
    return None


def _are_equal(given: NDArray[Any], part: NDArray[Any]) -> bool:
    """Whether all are plain values or lists of them, and equal, which needs no look at each."""
    return _are_plain(given) and _are_plain(part) and given.tolist() == part.tolist()


def _are_plain(values: NDArray[Any]) -> bool:
    kinds = set(map(type, values))
    if kinds <= {list, type(None)}:
        kinds = set(map(type, chain.from_iterable(value for value in values if value is not None)))
    return kinds <= _PLAIN


def _parts(column: pa.ChunkedArray, shape: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """The objects in parts, small ones first: a shape that is wrong mostly is so at once."""
    start, rows = 0, _FIRST_ROWS
    while start < len(column):
        here = column.slice(start, rows)
        part = np.empty(len(here), object)
        part[:] = _SHAPES[shape](here)
        part[here.is_null().to_numpy()] = None
        yield start, part
        start, rows = start + rows, min(4 * rows, _MOST_ROWS)


def _as_python(column: pa.ChunkedArray) -> list[Any]:
    return column.to_pylist()


def _as_tuples(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return [tuple(value) if _is_list(value) else value for value in values]


def _as_pandas(column: pa.ChunkedArray) -> list[Any]:
    return list(column.to_pandas(integer_object_nulls=True))


_SHAPES: Mapping[str, Callable[[pa.ChunkedArray], list[Any]]] = MappingProxyType(
    {"python": _as_python, "tuples": _as_tuples, "pandas": _as_pandas}
)
_PLAIN = frozenset({str, bytes, int, float, bool, Decimal, dt.date, dt.time, type(None)})


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_same(given: Any, back: Any) -> bool:
    """Whether two values are equal and, where they hold others, of one type."""
    if isinstance(given, np.ndarray) or isinstance(back, np.ndarray):
        return _are_same_arrays(given, back)
    if isinstance(given, list | tuple | dict):
        return type(back) is type(given) and _hold_the_same(given, back)  # pyright: ignore[reportUnknownArgumentType]
    if _is_null(back):
        return _is_null(given)
    if isinstance(given, dt.datetime | dt.timedelta) and type(given) is not type(back):
        return False  # one is Python's, the other pandas'
    if isinstance(given, dt.datetime) and given.utcoffset() != back.utcoffset():
        return False
    return bool(given == back)


def _hold_the_same(given: Any, back: Any) -> bool:
    if len(given) != len(back):
        return False
    if not isinstance(given, dict):
        return all(map(_is_same, given, back))
    names: list[Any] = list(given)  # pyright: ignore[reportUnknownArgumentType]
    return all(_is_same(given[name], back.get(name, _ABSENT)) for name in names)


_ABSENT = object()


def _are_same_arrays(given: Any, back: Any) -> bool:
    if type(given) is not type(back) or given.dtype != back.dtype or given.shape != back.shape:
        return False
    if given.dtype.kind == "O":
        return all(map(_is_same, given.tolist(), back.tolist()))
    return bool(np.array_equal(given, back, equal_nan=given.dtype.kind in "fmM"))


def _is_null(value: Any) -> bool:
    """Whether it is None, or not equal to itself, or cannot tell: NaN, NaT, NA."""
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  # as nulls are
    except (TypeError, ValueError):  # NA is neither; an array is many
        return type(value).__name__ == "NAType"


def _nulls_of(values: NDArray[Any]) -> NDArray[np.bool_]:
    import pandas as pd  # noqa: PLC0415  # takes time to load, and not everybody uses it

    return pd.isna(values)


def _null(name: str) -> Any:
    """The null whose type has this name."""
    import pandas as pd  # noqa: PLC0415  # as above

    named = {"float": np.nan, "NAType": pd.NA, "NaTType": pd.NaT, "Decimal": Decimal("NaN")}
    return named.get(name)
