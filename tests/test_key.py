from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from batchkit.errors import TableError
from batchkit.key import BAD_KEYS, BadKey, bad_keys, check_key_columns, row_keys, wire_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

UUID = getattr(pa, "uuid", pa.null)()


def one_of(kind: pa.DataType) -> pa.Schema:
    return pa.schema([("id", kind), ("text", pa.string())])


def keys(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.large_string())


class Table:
    """Keys in batches, which counts the batches that were read of it."""

    def __init__(self, *batches: Sequence[str | None]) -> None:
        self.batches = batches
        self.read_batches = 0

    def read(self) -> Iterator[tuple[int, pa.Array]]:
        row = 0
        for batch in self.batches:
            self.read_batches += 1
            yield row, keys(batch)
            row += len(batch)

    def bad(self, scratch: Path) -> list[tuple[int, str | None, str]]:
        found = pa.Table.from_batches(bad_keys(self.read, scratch), BAD_KEYS).to_pylist()
        return [(bad["row"], bad["key"], bad["reason"]) for bad in found]


@pytest.mark.parametrize(
    "kind, why",
    [
        (pa.float64(), "floats are no keys: cast the column to integers or text first"),
        (pa.float16(), "floats are no keys"),
        (pa.dictionary(pa.int8(), pa.float64()), "floats are no keys"),
        (pa.list_(pa.int64()), "nested values are no keys: name one or several plain columns"),
        (pa.struct([("a", pa.int64())]), "nested values are no keys"),
        (pa.map_(pa.string(), pa.string()), "nested values are no keys"),
        (pa.binary(), "bytes have no text form: decode them first"),
        (pa.duration("us"), "a duration has no text form"),
        (pa.month_day_nano_interval(), "has no text form: cast it first"),
    ],
    ids=str,
)
def test_a_type_that_cannot_name_rows_is_refused_with_the_remedy(
    kind: pa.DataType, why: str
) -> None:
    with pytest.raises(TableError, match=why) as caught:
        check_key_columns(one_of(kind), ["id"])
    assert str(caught.value).startswith(f"key column 'id' is {kind}: ")
    assert caught.value.column == "id"


@pytest.mark.parametrize(
    "kind",
    [
        pa.string_view(),
        pa.uint64(),
        pa.bool_(),
        pa.date32(),
        pa.timestamp("ns", "UTC"),
        pa.decimal128(38, 2),
        pa.dictionary(pa.int32(), pa.string()),
        pa.null(),
    ],
    ids=str,
)
def test_a_type_that_can_name_rows_is_taken(kind: pa.DataType) -> None:
    check_key_columns(one_of(kind), ["text", "id"])


def test_a_key_column_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(TableError, match="no key column 'di': the columns are id, text"):
        check_key_columns(one_of(pa.int64()), ["di"])


def test_rows_without_a_key_are_numbered_from_the_start_of_the_table() -> None:
    assert row_keys(0, 2).to_pylist() == ["0", "1"]
    assert row_keys(2**40, 1).to_pylist() == ["1099511627776"]
    assert row_keys(5, 0).to_pylist() == []


@pytest.mark.parametrize(
    "column, key",
    [
        (pa.array(["r-1 \u2028 🙂"]), "r-1 \u2028 🙂"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([-(2**63)]), "-9223372036854775808"),
        (pa.array([dt.date(2026, 1, 2)]), "2026-01-02"),
        (pa.array([0], pa.timestamp("s", "Europe/Berlin")), "1970-01-01T01:00:00+01:00"),
        (pa.array([Decimal("1.50")]), "1.50"),
        (pa.array([True]), "true"),
        (pa.array(["a"]).dictionary_encode(), "a"),
    ],
    ids=str,
)
def test_one_column_is_a_key_by_its_text(column: pa.Array, key: str) -> None:
    assert wire_keys([column]).to_pylist() == [key]


def test_several_columns_are_a_json_array_with_bare_numbers() -> None:
    columns: list[pa.Array] = [
        pa.array([1, -(2**63)]),
        pa.array(['a "quoted", one', "]"]),
        pa.array([True, False]),
        pa.array([dt.date(2026, 1, 2)] * 2),
        pa.array([7, 7]).dictionary_encode(),
    ]
    assert wire_keys(columns).to_pylist() == [
        '[1,"a \\"quoted\\", one",true,"2026-01-02",7]',
        '[-9223372036854775808,"]",false,"2026-01-02",7]',
    ]


@pytest.mark.skipif(pa.null() == UUID, reason="this pyarrow has no type for UUIDs")
def test_a_uuid_is_a_key_with_hyphens() -> None:
    name = uuid.UUID(int=1)
    check_key_columns(one_of(UUID), ["id"])
    assert wire_keys([pa.array([name.bytes], UUID)]).to_pylist() == [str(name)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None], pa.string()),
        pa.nulls(1),
        pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([None], pa.string())),
        pa.array([2**31 - 1], pa.date32()),
    ],
    ids=["null", "null type", "null in a dictionary", "no date"],
)
def test_a_key_is_null_where_any_part_of_it_is(column: pa.Array) -> None:
    assert wire_keys([column]).to_pylist() == [None]
    assert wire_keys([pa.array([1]), column]).to_pylist() == [None]


def test_unusable_keys_are_found_in_row_order_with_their_reasons(tmp_path: Path) -> None:
    table = Table(["a", None, "b"], ["", "nul\0", "a"], ["c", "b"])
    assert table.bad(tmp_path) == [
        (1, None, "the key is null"),
        (3, "", "the key is empty text"),
        (4, "nul\0", "the key holds a NUL character"),
        (5, "a", "repeats the key of row 0"),
        (7, "b", "repeats the key of row 2"),
    ]


def test_of_many_rows_with_one_key_the_first_keeps_it(tmp_path: Path) -> None:
    table = Table(["x"] * 3, ["x"], ["y"])
    assert table.bad(tmp_path) == [(row, "x", "repeats the key of row 0") for row in (1, 2, 3)]


def test_null_keys_repeat_no_other(tmp_path: Path) -> None:
    assert [reason for *_, reason in Table([None, None]).bad(tmp_path)] == ["the key is null"] * 2


@pytest.mark.parametrize("batches", [[], [[]], [["a"], ["b", "A"], ["\u00e1", "a\u0301"]]], ids=len)
def test_keys_that_differ_are_all_good_and_read_once(
    tmp_path: Path, batches: list[list[str]]
) -> None:
    table = Table(*batches)
    assert table.bad(tmp_path) == []
    assert table.read_batches == len(batches)


def test_bad_keys_come_as_a_stream_and_not_all_at_once(tmp_path: Path) -> None:
    table = Table(*[[None, "x"]] * 50)
    found = bad_keys(table.read, tmp_path)
    assert next(found).num_rows == 1
    assert table.read_batches == 51


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    Table(["a", "a"]).bad(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_beyond_what_is_held_in_memory_are_compared_on_disk(tmp_path: Path) -> None:
    step, count = 100_000, 4_200_000

    def read() -> Iterator[tuple[int, pa.Array]]:
        for first in range(0, count, step):
            numbers = np.arange(first, first + step)
            numbers[numbers == 4_150_000] = 17
            numbers[numbers == 60_001] = 60_000
            yield first, pa.array(numbers).cast(pa.large_string())

    found: list[dict[str, Any]] = pa.Table.from_batches(bad_keys(read, tmp_path)).to_pylist()
    assert [str(BadKey(**bad)) for bad in found] == [
        "row 60001, key '60000': repeats the key of row 60000",
        "row 4150000, key '17': repeats the key of row 17",
    ]
    assert list(tmp_path.iterdir()) == []
