from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.errors import TableError
from batchkit.text import (
    check_utf8,
    json_texts,
    plain_type,
    python_values,
    text_column,
    why_no_text,
    why_null,
)

UUID = getattr(pa, "uuid", pa.null)()
NEEDS_UUID = pytest.mark.skipif(pa.null() == UUID, reason="this pyarrow has no type for UUIDs")
NAN = float("nan")
INFINITE = float("inf")


def of(value: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([value, None], kind)


def broken(kind: pa.DataType) -> pa.Array:
    """One value that is not UTF-8."""
    offsets = pa.array([0, 1], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(kind, 1, [None, offsets, pa.py_buffer(b"\xff")])


@pytest.mark.parametrize(
    "kind, value, text",
    [
        (pa.string(), "as it is \0 \u2028 🙂", "as it is \0 \u2028 🙂"),
        (pa.large_string(), "large", "large"),
        (pa.string_view(), "a text of more than twelve bytes", "a text of more than twelve bytes"),
        (pa.int8(), -128, "-128"),
        (pa.int64(), -(2**63), "-9223372036854775808"),
        (pa.int64(), 2**63 - 1, "9223372036854775807"),
        (pa.uint64(), 2**64 - 1, "18446744073709551615"),
        (pa.float64(), 3.0, "3"),
        (pa.float64(), 0.1, "0.1"),
        (pa.float64(), -0.0, "-0"),
        (pa.float64(), 1e-7, "1e-7"),
        (pa.float64(), 1e300, "1e+300"),
        (pa.float64(), 5e-324, "5e-324"),
        (pa.float64(), INFINITE, "inf"),
        (pa.float64(), -INFINITE, "-inf"),
        (pa.float32(), 0.1, "0.1"),
        (pa.float16(), np.float16(0.5), "0.5"),
        (pa.decimal128(38, 10), Decimal("12.50"), "12.5000000000"),
        (pa.decimal128(20, 8), Decimal("-0.00000001"), "-0.00000001"),
        (pa.decimal128(20, 10), Decimal(0), "0.0000000000"),
        (pa.decimal128(5, -2), Decimal(1500), "1500"),
        (pa.decimal256(76, 0), Decimal(10**75), "1" + "0" * 75),
        (pa.bool_(), True, "true"),
        (pa.bool_(), False, "false"),
        (pa.date32(), dt.date(1969, 12, 31), "1969-12-31"),
        (pa.date64(), dt.date(2026, 1, 2), "2026-01-02"),
        (pa.time64("us"), dt.time(3, 4, 5, 500_000), "03:04:05.5"),
        (pa.timestamp("ns", "Europe/Berlin"), 1, "1970-01-01T01:00:00.000000001+01:00"),
        (pa.timestamp("s"), 0, "1970-01-01T00:00:00"),
    ],
    ids=str,
)
def test_a_value_becomes_the_text_that_the_documentation_gives(
    kind: pa.DataType, value: Any, text: str
) -> None:
    column = text_column(of(value, kind))
    assert column.type == pa.large_string()
    assert column.to_pylist() == [text, None]


@given(st.floats(allow_nan=False))
def test_a_float_reads_back_as_the_same_number(number: float) -> None:
    text = text_column(pa.array([number], pa.float64())).to_pylist()[0]
    assert str(float(text)) == str(number)


@given(st.floats(width=32, allow_nan=False))
def test_a_short_float_has_no_more_digits_than_it_needs(number: float) -> None:
    text = text_column(pa.array([number], pa.float32())).to_pylist()[0]
    shortest = repr(np.float32(number).item()) if np.isinf(number) else str(np.float32(number))
    digits = [each.partition("e")[0].strip("-0.").replace(".", "") for each in (text, shortest)]
    assert np.float32(text) == np.float32(number)
    assert len(digits[0]) <= len(digits[1])


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_nan_has_no_text(kind: pa.DataType) -> None:
    column = pa.array(np.array([NAN, 1.5]), pa.float64()).cast(kind)
    assert text_column(column).to_pylist() == [None, "1.5"]


@pytest.mark.parametrize(
    "kind, value, text",
    [
        (pa.list_(pa.int64()), [1, None, 2**63 - 1], "[1,null,9223372036854775807]"),
        (pa.list_(pa.uint64()), [2**64 - 1], "[18446744073709551615]"),
        (pa.large_list(pa.string()), ['"', "\u2028"], '["\\"","\u2028"]'),
        (pa.list_(pa.int8(), 2), [1, 2], "[1,2]"),
        (pa.list_(pa.int8()), [], "[]"),
        (pa.list_(pa.null()), [None], "[null]"),
        (pa.list_(pa.bool_()), [True, False], "[true,false]"),
        (pa.list_(pa.float64()), [1.0, 0.1, NAN, INFINITE], '[1,0.1,null,"inf"]'),
        (pa.list_(pa.float32()), [0.1], "[0.1]"),
        (pa.list_(pa.decimal128(20, 10)), [Decimal(0)], '["0.0000000000"]'),
        (pa.list_(pa.date32()), [dt.date(2026, 1, 2)], '["2026-01-02"]'),
        (pa.list_(pa.time64("ns")), [1], '["00:00:00.000000001"]'),
        (pa.list_(pa.timestamp("ns", "UTC")), [1], '["1970-01-01T00:00:00.000000001+00:00"]'),
        (pa.list_(pa.list_(pa.string())), [["a"], None, []], '[["a"],null,[]]'),
        (pa.struct([("a", pa.int64()), ("b", pa.string())]), {"a": 1}, '{"a":1,"b":null}'),
        (pa.struct([('"', pa.int64())]), {'"': 1}, '{"\\"":1}'),
        (pa.struct([]), {}, "{}"),
        (pa.map_(pa.string(), pa.int64()), [("a", 1), ("b", None)], '[["a",1],["b",null]]'),
        (pa.map_(pa.int64(), pa.list_(pa.string())), [(1, ["x"])], '[[1,["x"]]]'),
        (pa.list_(pa.struct([("a", pa.date32())])), [{"a": None}, None], '[{"a":null},null]'),
    ],
    ids=str,
)
def test_a_nested_value_becomes_compact_json(kind: pa.DataType, value: Any, text: str) -> None:
    assert text_column(of(value, kind)).to_pylist() == [text, None]
    assert json.loads(text) is not None


SCALARS = st.one_of(st.none(), st.text(max_size=5))
NESTED: pa.DataType = pa.struct(
    [
        ("tags", pa.list_(pa.string())),
        ("deep", pa.list_(pa.list_(pa.struct([("n", pa.int64()), ("t", pa.string())])))),
    ]
)
LEAVES = st.fixed_dictionaries(
    {"n": st.none() | st.integers(-(2**63), 2**63 - 1), "t": st.none() | st.text(max_size=5)}
)
VALUES = st.none() | st.fixed_dictionaries(
    {
        "tags": st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4),
        "deep": st.none()
        | st.lists(
            st.none() | st.lists(st.none() | LEAVES, max_size=3),
            max_size=3,
        ),
    }
)


@given(st.lists(VALUES, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_nested_json_reads_back_as_the_values_of_any_slice(
    values: list[Any], start: int, length: int
) -> None:
    column = pa.array(values, NESTED).slice(start, length)
    texts = text_column(column).to_pylist()
    read = [None if text is None else json.loads(text) for text in texts]
    assert read == column.to_pylist()


def test_a_list_under_a_null_is_not_written() -> None:
    mask = pa.array([False, True, False])
    offsets = pa.array([0, 1, 2, 3], pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(["a", "hidden", "c"]), mask=mask)
    assert text_column(column).to_pylist() == ['["a"]', None, '["c"]']


def test_a_map_in_the_middle_of_a_column_is_its_own() -> None:
    kind = pa.map_(pa.string(), pa.int64())
    column = pa.array([[("a", 1)], None, [("b", 2)], []], kind).slice(1)
    assert text_column(column).to_pylist() == [None, '[["b",2]]', "[]"]


@pytest.mark.parametrize("values", [["b", "a"], ["b", "a", *map(str, range(99))]], ids=len)
def test_a_dictionary_is_its_values_however_large_it_is(values: list[str]) -> None:
    indices = pa.array([1, None, 0, 1], pa.int8())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(values))
    assert text_column(column).to_pylist() == ["a", None, "b", "a"]


@pytest.mark.parametrize("values", [["b", None], ["b", None, *map(str, range(99))]], ids=len)
def test_a_null_within_a_dictionary_is_null(values: list[str | None]) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(values))
    assert text_column(column).to_pylist() == ["b", None]


def test_a_large_dictionary_of_views_is_its_values() -> None:
    views = pa.array(["b", "a", *map(str, range(99))], pa.string_view())
    column = pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), views)
    assert text_column(column).to_pylist() == ["a", None]


def test_a_dictionary_of_floats_has_no_text_for_nan() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([1.0, NAN]))
    assert text_column(column).to_pylist() == ["1", None]


def test_a_dictionary_in_a_list_is_its_values() -> None:
    inner = pa.array(["x", None, "x"]).dictionary_encode()
    column = pa.ListArray.from_arrays(pa.array([0, 2, 3], pa.int32()), inner)
    assert text_column(column).to_pylist() == ['["x",null]', '["x"]']


def test_a_run_end_encoded_column_is_its_values() -> None:
    column = pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None])
    assert text_column(column).to_pylist() == ["a", "a", None]
    assert why_no_text(column.type) is None


@NEEDS_UUID
def test_a_uuid_has_hyphens_wherever_it_stands() -> None:
    name = uuid.UUID("12345678-1234-5678-1234-567812345678")
    column = pa.array([name.bytes, None], UUID)
    lists = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), column)
    assert text_column(column).to_pylist() == [str(name), None]
    assert text_column(lists).to_pylist() == [f'["{name}",null]']
    assert plain_type(UUID) == pa.string()


@pytest.mark.skipif(not hasattr(pa, "bool8"), reason="this pyarrow has no booleans of a byte")
def test_a_boolean_of_a_byte_is_a_boolean() -> None:
    column = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8()))
    assert text_column(column).to_pylist() == ["true", "false", None]


def test_an_extension_type_is_what_it_stores() -> None:
    kind = pa.fixed_shape_tensor(pa.int32(), [2])
    column = pa.ExtensionArray.from_storage(kind, pa.array([[1, 2]], pa.list_(pa.int32(), 2)))
    assert text_column(column).to_pylist() == ["[1,2]"]


def test_nothing_but_nulls_has_no_texts() -> None:
    assert text_column(pa.nulls(2)).to_pylist() == [None, None]


@pytest.mark.parametrize(
    "column",
    [
        broken(pa.string()),
        pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken(pa.string())),
        pa.DictionaryArray.from_arrays(pa.array([0]), broken(pa.string())),
        pa.StructArray.from_arrays([broken(pa.string())], fields=[pa.field("a", pa.string())]),
    ],
    ids=["text", "list", "dictionary", "struct"],
)
def test_text_that_is_not_utf8_is_refused_with_its_column(column: pa.Array) -> None:
    said = r"column 'c' holds text that is not UTF-8 \(.*Invalid UTF8 sequence .*\): mend it"
    with pytest.raises(TableError, match=said) as caught:
        check_utf8(pa.record_batch({"n": pa.array([1]), "c": column}))
    assert caught.value.column == "c"


def test_text_that_is_utf8_is_fine_and_bytes_may_be_anything() -> None:
    unused = pa.concat_arrays([pa.array(["fine"]), broken(pa.string())])
    columns: dict[str, pa.Array] = {
        "text": pa.array(["é\u2028🙂\0"]),
        "bytes": pa.array([b"\xff"]),
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([0]), unused),
        "view": pa.array(["a text of more than twelve bytes"], pa.string_view()),
    }
    check_utf8(pa.record_batch(columns))


UNIONS = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]).type


@pytest.mark.parametrize(
    "kind, why",
    [
        (pa.binary(), "bytes have no text form: decode them first"),
        (pa.large_binary(), "bytes have no text form: decode them first"),
        (pa.binary(4), "bytes have no text form: decode them first"),
        (pa.binary_view(), "bytes have no text form: decode them first"),
        (pa.list_(pa.binary()), "bytes have no text form: decode them first"),
        (pa.struct([("a", pa.map_(pa.string(), pa.binary()))]), "bytes have no text form"),
        (pa.dictionary(pa.int8(), pa.binary()), "bytes have no text form"),
        (pa.duration("us"), "a duration has no text form: turn it into a number first"),
        (pa.month_day_nano_interval(), "month_day_nano_interval has no text form: cast it first"),
        (UNIONS, "sparse_union<0: int64=0> has no text form: cast it first"),
        (pa.list_(pa.timestamp("us", "Mars/Olympus")), "this machine knows no zone"),
    ],
    ids=str,
)
def test_a_type_without_a_text_says_why_and_what_to_do(kind: pa.DataType, why: str) -> None:
    assert (why_no_text(kind) or "").startswith(why)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string_view(),
        pa.null(),
        pa.decimal256(40, 2),
        pa.float16(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.map_(pa.string(), pa.list_(pa.date64())),
        pa.run_end_encoded(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_a_type_with_a_text_is_fine(kind: pa.DataType) -> None:
    assert why_no_text(kind) is None


def test_values_for_a_function_are_python_s_own_without_nan() -> None:
    assert python_values(pa.array([NAN, 1.5, INFINITE])) == [None, 1.5, INFINITE]
    assert python_values(pa.array([1.0, NAN]).dictionary_encode()) == [1.0, None]
    assert python_values(pa.array([2**31 - 1, 0], pa.date32())) == [None, dt.date(1970, 1, 1)]
    assert python_values(pa.array([2**64 - 1], pa.uint64())) == [2**64 - 1]
    assert python_values(pa.array([b"\xff", None])) == [b"\xff", None]


@pytest.mark.parametrize(
    "kind, why",
    [
        (pa.float32(), "NaN"),
        (pa.dictionary(pa.int8(), pa.float64()), "NaN"),
        (pa.timestamp("us"), "outside the years 1 to 9999"),
        (pa.date32(), "outside the years 1 to 9999"),
        (pa.string(), "null"),
    ],
    ids=str,
)
def test_why_a_value_that_is_there_has_no_text(kind: pa.DataType, why: str) -> None:
    assert why_null(kind) == why


@pytest.mark.parametrize(
    "column, texts",
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array(['"', None]), ['"\\""', None]),
        (pa.array([True]), ["true"]),
        (pa.array([1.5, INFINITE]), ["1.5", '"inf"']),
        (pa.array([1, 1]).dictionary_encode(), ["1", "1"]),
        (pa.array([dt.date(2026, 1, 2)]), ['"2026-01-02"']),
        (pa.array([Decimal("1.50")]), ['"1.50"']),
    ],
    ids=str,
)
def test_json_texts_quote_all_but_numbers_and_booleans(
    column: pa.Array, texts: list[str | None]
) -> None:
    assert json_texts(column).to_pylist() == texts


def test_texts_differ_where_values_differ() -> None:
    numbers = sorted({a * 10**b for a, b in itertools.product(range(-9, 10), range(16))})
    for kind in (pa.int64(), pa.decimal128(38, 2), pa.timestamp("us", "Europe/Berlin")):
        texts = text_column(pa.array(numbers, pa.int64()).cast(kind)).to_pylist()
        assert len(set(texts)) == len(numbers)
