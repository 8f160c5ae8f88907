"""A pandas DataFrame as Arrow and back: each column exactly as it was, or refused.

What pandas writes down about a frame does not bring all of it back. The rest stands beside it in
the metadata of the Arrow schema: which columns are of objects, which of which kind of text.
"""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import CapabilityError, TableError
from batchkit.iso import within_calendar
from batchkit.tables.labels import check_labels
from batchkit.tables.objects import Altered, ObjectForm, object_form, restored_objects
from batchkit.tables.portable import is_portable, portable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["arrow_of_frame", "frame_of_arrow", "is_frame"]

_KIND = "pandas DataFrame"
_PANDAS = b"pandas"
_OURS = b"batchkit"
_ARROW_DTYPE = re.compile(r"(?!string\[).*\[pyarrow\]")
_SHOWN = 60
_STORAGES = ("python", "pyarrow")  # whose null is NaN or NA; older pandas has one with NaN only


def is_frame(table: Any) -> bool:
    """Whether a table is a pandas DataFrame."""
    pandas = sys.modules.get("pandas")  # who has a frame has it loaded
    return pandas is not None and isinstance(table, pandas.DataFrame)


def arrow_of_frame(frame: Any) -> pa.Table:
    """The frame with its index as Arrow; raises TableError, naming the column that cannot be it.

    Arrow takes some columns of objects for something else (a set for a list, a mixture of types
    for one of them): a column that would not come back as it is is refused.
    """
    pd = _pandas()
    check_labels(frame.columns, _KIND)
    check_labels((name for name in frame.index.names if name is not None), f"{_KIND}'s index")
    try:
        table = pa.Table.from_pandas(frame)
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise _unconvertible(frame, error) from error
    description = _readable(table.schema.pandas_metadata or {})
    notes: dict[str, Any] = {"objects": {}, "strings": {}, "arrow": []}
    for field, said, values in _values(frame, description["index_columns"]):
        dtype = values.dtype
        if dtype == np.dtype(object):
            form = _form(field, said, values, table.column(field))
            notes["objects"][field] = [form.shape, form.null]
        elif isinstance(dtype, pd.StringDtype):
            notes["strings"][field] = [dtype.storage, isinstance(dtype.na_value, float)]
        elif isinstance(dtype, pd.ArrowDtype):
            notes["arrow"].append(field)
        elif isinstance(kind := table.schema.field(field).type, pa.DictionaryType):
            _check_categories(field, said, kind.value_type)
    if isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex):
        notes["freq"] = frame.index.freqstr
    said = {_PANDAS: jsonl.dumps(description), _OURS: jsonl.dumps(notes)}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


def _readable(description: dict[str, Any]) -> dict[str, Any]:
    """What pandas says of a frame, without what pandas itself cannot read again."""
    for label in description.get("column_indexes", ()):
        if label["numpy_type"] not in {"object", "str"}:  # texts they are, and ours come to them
            label.update(pandas_type="unicode", numpy_type="object", metadata=None)
    for column in description.get("columns", ()):
        try:
            _pandas().api.types.pandas_dtype(column["numpy_type"])
        except (TypeError, ValueError, NotImplementedError):
            column["numpy_type"] = "object"
    return description


def _pandas() -> Any:
    import pandas  # noqa: PLC0415, ICN001  # takes time to load, and not everybody uses it

    return pandas


def _values(frame: Any, index: Sequence[Any]) -> Iterator[tuple[str, str, Any]]:
    """Every column and index level: its field in Arrow, what it is, and its values."""
    for name in frame.columns:
        yield name, f"column {name!r}", frame[name]
    for level, field in enumerate(index):
        if isinstance(field, str):  # and no range
            yield field, f"index level {level}", frame.index.get_level_values(level)


def _form(field: str, said: str, values: Any, column: pa.ChunkedArray) -> ObjectForm:
    found = object_form(values.to_numpy(), column)
    if isinstance(found, Altered):
        given, back = (_short(value) for value in (found.given, found.back))
        message = (
            f"{said} of the {_KIND} would not come back as it is: row {found.row} has {given}, of "
            f"which Arrow makes {back}; give the column one type, or text (json.dumps)"
        )
        raise TableError(message, column=field)
    return found


def _check_categories(field: str, said: str, kind: pa.DataType) -> None:
    """Categories of pandas' own types, such as the intervals of `pandas.cut`, cannot be kept."""
    if isinstance(kind, pa.BaseExtensionType):
        message = (
            f"{said} of the {_KIND} is of a type that cannot be kept (categories of "
            f"{kind.extension_name}); make them text"
        )
        raise TableError(message, column=field)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _unconvertible(frame: Any, error: Exception) -> TableError:
    """Name the column that Arrow cannot take."""
    for name in frame.columns:
        if hasattr(frame[name], "sparse"):
            remedy = f"make it dense, df[{name!r}].sparse.to_dense()"
            message = f"column {name!r} of the {_KIND} is sparse, which Arrow is not: {remedy}"
            return TableError(message, column=name)
        try:
            pa.array(frame[name], from_pandas=True)
        except (ValueError, TypeError, OverflowError, pa.ArrowException) as reason:
            message = (
                f"column {name!r} of the {_KIND} cannot become Arrow: {reason}; "
                f"give it one type, e.g. df[{name!r}].astype(str)"
            )
            return TableError(message, column=name)
    return TableError(f"the {_KIND} cannot become Arrow: {error}")


def frame_of_arrow(table: pa.Table) -> Any:
    """The table as a DataFrame, with dtypes and index of the one that it came from.

    Whole numbers with nulls become pandas' nullable ones, which hold all 64 bits.
    """
    metadata = dict(table.schema.metadata or {})
    description = table.schema.pandas_metadata or {}
    notes = jsonl.loads(metadata.get(_OURS, b"{}"))
    columns: dict[str, Any] = {c["field_name"]: c for c in description.get("columns", ())}
    dtypes = {name: column["numpy_type"] for name, column in columns.items()}
    description = _readable(description)
    own: dict[str, Any] = {}
    plain = table
    for position, name in enumerate(table.column_names):
        column = table.column(name)
        values = _own_values(name, column, dtypes.get(name, ""), notes)
        if values is not None:
            own[name] = values
            columns.get(name, {})["numpy_type"] = "object"
            plain = plain.set_column(position, name, pa.nulls(len(column)))
        elif not is_portable(column.type):
            plain = plain.set_column(position, name, portable(column))
    if description:
        metadata[_PANDAS] = jsonl.dumps(description)
    try:
        frame = plain.replace_schema_metadata(metadata).to_pandas(integer_object_nulls=True)
    except pa.ArrowNotImplementedError as error:
        message = f"pandas cannot hold this table ({error}): take it as Arrow, with to_arrow"
        raise CapabilityError(message) from error
    return _with_own(frame, own, description.get("index_columns", ()), notes.get("freq"))


def _own_values(name: str, column: pa.ChunkedArray, dtype: str, notes: Mapping[str, Any]) -> Any:
    """The values of a column that pandas and Arrow do not bring back by themselves, else None."""
    pd = _pandas()
    kind = column.type
    if name in notes.get("objects", {}):
        return restored_objects(column, ObjectForm(*notes["objects"][name]))
    if name in notes.get("strings", {}):
        storage, is_nan = notes["strings"][name]
        missing = {"na_value": math.nan} if is_nan and storage in _STORAGES else {}
        return pd.StringDtype(storage, **missing).__from_arrow__(column)
    is_arrow = name in notes.get("arrow", ()) or _ARROW_DTYPE.fullmatch(dtype)
    if is_arrow or _is_off_calendar(column):
        return pd.arrays.ArrowExtensionArray(column)
    if isinstance(kind, pa.DictionaryType) and pa.types.is_unsigned_integer(kind.index_type):
        return _categorical(column, kind)  # which older Arrows do not bring back
    if pa.types.is_integer(kind) and column.null_count and not dtype[:1].isupper():
        nullable = str(kind).replace("int", "Int").replace("u", "U")
        return pd.api.types.pandas_dtype(nullable).__from_arrow__(column)
    return None


def _categorical(column: pa.ChunkedArray, kind: pa.DictionaryType) -> Any:
    whole = portable(column).unify_dictionaries()
    chunks = [chunk for chunk in whole.chunks if isinstance(chunk, pa.DictionaryArray)]
    values = chunks[0].dictionary if chunks else pa.nulls(0, kind.value_type)
    indices = [chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy() for chunk in chunks]
    codes = np.concatenate([np.empty(0, np.int64), *indices])
    categories = pa.chunked_array([values]).to_pandas()
    return _pandas().Categorical.from_codes(codes, categories, ordered=kind.ordered)


def _is_off_calendar(column: pa.ChunkedArray) -> bool:
    """Whether dates lie where Python has none."""
    if not pa.types.is_date(column.type):
        return False
    return any(within_calendar(chunk).null_count > chunk.null_count for chunk in column.chunks)


def _with_own(frame: Any, own: Mapping[str, Any], index: Sequence[Any], freq: str | None) -> Any:
    """The frame with columns and index levels put in place."""
    pd = _pandas()
    levels = [field for field in index if isinstance(field, str)]
    for name, values in own.items():
        if name not in levels:
            frame[name] = pd.Series(values, frame.index, values.dtype, copy=False)
    if own.keys() & set(levels):
        arrays = [
            own.get(field, frame.index.get_level_values(level))
            for level, field in enumerate(levels)
        ]
        names = frame.index.names
        if len(arrays) == 1:
            frame.index = pd.Index(arrays[0], name=names[0], dtype=arrays[0].dtype)
        else:
            frame.index = pd.MultiIndex.from_arrays(arrays, names=names)
    if freq is not None:
        frame.index.freq = freq
    return frame
