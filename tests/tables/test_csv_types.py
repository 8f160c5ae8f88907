from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from batchkit.tables.csv_types import changed_columns


def changed(kind: pa.DataType, texts: list[str | None]) -> bool:
    """Whether a column of these fields, read as this type, is text in truth."""
    lines = "".join(f"{text or ''},\n" for text in texts)
    typed, plain = (
        csv.read_csv(
            io.BytesIO(f"c,d\n{lines}".encode()),
            convert_options=csv.ConvertOptions(
                column_types={"c": each}, null_values=[""], strings_can_be_null=True
            ),
        )
        for each in (kind, pa.string())
    )
    assert typed.schema.field("c").type == kind
    return changed_columns(typed.to_batches(), plain.to_batches()) == ["c"]


INTEGER, FLOAT, FLAG = pa.int64(), pa.float64(), pa.bool_()
DAY, TIME, MOMENT = pa.date32(), pa.time32("s"), pa.timestamp("ns")
ZONED = pa.timestamp("s", "UTC")


@pytest.mark.parametrize(
    "kind, texts",
    [
        (INTEGER, ["0", "-7", "9223372036854775807", None]),
        (FLOAT, ["0.1", "-0.5", "1e-7", "1E5", None]),
        (FLOAT, ["1.0", "2.5", "10.0", "3"]),
        (FLOAT, ["12.50", "3.00", "0.10"]),
        (FLOAT, ["0.1234567890123456", "1e300", "5e-324"]),
        (FLOAT, ["nan", "inf", "-inf", "1.5"]),
        (FLAG, ["true", "FALSE", "True", None]),
        (DAY, ["2026-01-31", None]),
        (TIME, ["10:00:00", "23:59:59"]),
        (MOMENT, ["2026-01-31T10:00:00", "2026-01-31 10:00:00.500", "2026-01-31 10:00:00.000"]),
        (ZONED, ["2026-01-31T10:00:00Z", "2026-01-31 10:00:00+00:00"]),
    ],
)
def test_a_type_that_changes_no_value_is_kept(kind: pa.DataType, texts: list[str | None]) -> None:
    assert not changed(kind, texts)


@pytest.mark.parametrize(
    "kind, texts",
    [
        (INTEGER, ["1", "007"]),
        (FLOAT, ["12345678901234567890"]),
        (FLOAT, ["0.1000000000000000055511151231257827"]),
        (FLOAT, ["1e400"]),
        (FLOAT, ["1e-400"]),
        (FLOAT, ["1.9", "1.10", "1.11"]),
        (FLOAT, ["01.5"]),
        (FLOAT, ["-00.5"]),
        (FLAG, ["true", "1"]),
        (TIME, ["10:00"]),
        (MOMENT, ["2026-01-31 10:00"]),
        (ZONED, ["2026-01-31T10:00:00+01:00"]),
    ],
)
def test_a_type_that_would_change_a_value_makes_the_column_text(
    kind: pa.DataType, texts: list[str | None]
) -> None:
    assert changed(kind, texts)


def test_versions_are_told_from_prices_over_all_batches() -> None:
    fields = [["1.9", "1.8"], ["1.10", "1.11"]]
    plain = [pa.record_batch({"c": pa.array(texts)}) for texts in fields]
    guessed = [pa.record_batch({"c": pa.array(texts).cast(pa.float64())}) for texts in fields]
    assert changed_columns(guessed, plain) == ["c"]


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_a_float_as_python_writes_it_stays_a_float(values: list[float]) -> None:
    texts = [repr(value) for value in values]
    guessed = pa.record_batch({"c": pa.array(values)})
    assert changed_columns([guessed], [pa.record_batch({"c": pa.array(texts)})]) == []


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_an_integer_stays_an_integer(values: list[int]) -> None:
    texts = [str(value) for value in values]
    guessed = pa.record_batch({"c": pa.array(values)})
    assert changed_columns([guessed], [pa.record_batch({"c": pa.array(texts)})]) == []
