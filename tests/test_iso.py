from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.iso import date_texts, time_texts, timestamp_texts, why_no_zone, within_calendar

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]


def timestamps(values: list[int | None], unit: str, zone: str | None = None) -> pa.Array:
    return pa.array(values, pa.timestamp(unit, zone))


@pytest.mark.parametrize(
    "unit, value, text",
    [
        ("s", 1_500_000_000, "2017-07-14T02:40:00"),
        ("ms", 1, "1970-01-01T00:00:00.001"),
        ("us", 1_500_000, "1970-01-01T00:00:01.5"),
        ("ns", 1_500_000_001, "1970-01-01T00:00:01.500000001"),
        ("s", -1, "1969-12-31T23:59:59"),
        ("ms", -1, "1969-12-31T23:59:59.999"),
        ("us", -1, "1969-12-31T23:59:59.999999"),
        ("ns", -1, "1969-12-31T23:59:59.999999999"),
        ("ns", -(2**63) + 1, "1677-09-21T00:12:43.145224193"),
        ("ns", 2**63 - 1, "2262-04-11T23:47:16.854775807"),
    ],
)
def test_a_timestamp_is_written_to_its_last_digit(unit: str, value: int, text: str) -> None:
    assert timestamp_texts(timestamps([value, None], unit)).to_pylist() == [text, None]


@pytest.mark.parametrize(
    "zone, text",
    [
        ("UTC", "1970-01-01T00:00:00+00:00"),
        ("Europe/Berlin", "1970-01-01T01:00:00+01:00"),
        ("America/New_York", "1969-12-31T19:00:00-05:00"),
        ("+05:30", "1970-01-01T05:30:00+05:30"),
        ("-00:44", "1969-12-31T23:16:00-00:44"),
        ("+0100", "1970-01-01T01:00:00+01:00"),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_zone_gives_the_local_time_and_its_offset(zone: str, text: str, unit: str) -> None:
    assert timestamp_texts(timestamps([0, None], unit, zone)).to_pylist() == [text, None]


def test_the_offset_is_that_of_the_moment() -> None:
    summer = timestamps([1_500_000_000, 1_512_000_000], "s", "Europe/Berlin")
    assert timestamp_texts(summer).to_pylist() == [
        "2017-07-14T04:40:00+02:00",
        "2017-11-30T01:00:00+01:00",
    ]


def test_an_hour_that_the_clocks_show_twice_is_told_apart() -> None:
    twice = timestamps([1_509_235_200, 1_509_238_800], "s", "Europe/Berlin")
    assert timestamp_texts(twice).to_pylist() == [
        "2017-10-29T02:00:00+02:00",
        "2017-10-29T02:00:00+01:00",
    ]


def test_an_offset_with_seconds_from_before_there_were_zones_is_whole() -> None:
    early = timestamps([-3_000_000_000], "s", "Europe/Berlin")
    assert timestamp_texts(early).to_pylist() == ["1874-12-07T19:33:28+00:53:28"]


@given(
    st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)),  # noqa: DTZ001  # a clock's own
    st.sampled_from(ZONES),
)
def test_a_zoned_timestamp_reads_back_as_the_same_moment(moment: dt.datetime, zone: str) -> None:
    moment = moment.replace(tzinfo=dt.UTC)
    text = timestamp_texts(pa.array([moment], pa.timestamp("us", zone))).to_pylist()[0]
    assert dt.datetime.fromisoformat(text) == moment


@pytest.mark.parametrize(
    "value, text",
    [
        (dt.date(1, 1, 1), "0001-01-01"),
        (dt.date(1969, 12, 31), "1969-12-31"),
        (dt.date(9999, 12, 31), "9999-12-31"),
    ],
)
@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_a_date_has_four_digits_for_its_year(value: dt.date, text: str, kind: pa.DataType) -> None:
    assert date_texts(pa.array([value, None], kind)).to_pylist() == [text, None]


@pytest.mark.parametrize(
    "kind, value, text",
    [
        (pa.time32("s"), 86_399, "23:59:59"),
        (pa.time32("ms"), 1_500, "00:00:01.5"),
        (pa.time64("us"), 10_000_000, "00:00:10"),
        (pa.time64("ns"), 1, "00:00:00.000000001"),
    ],
)
def test_a_time_has_no_trailing_zeros(kind: pa.DataType, value: int, text: str) -> None:
    assert time_texts(pa.array([value, None], kind)).to_pylist() == [text, None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([-719_163, 2_932_897, 2**31 - 1, -(2**31)], pa.date32()),
        pa.array([-62_135_596_801, 253_402_300_800, 2**62, -(2**62)], pa.timestamp("s")),
        pa.array([-62_135_596_801_000, 253_402_300_800_000], pa.timestamp("ms", "UTC")),
        pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp("us")),
    ],
    ids=str,
)
def test_what_lies_outside_the_years_1_to_9999_has_no_text(column: pa.Array) -> None:
    """DuckDB's infinity is such a value. https://duckdb.org/docs/stable/sql/data_types/timestamp"""
    write = date_texts if pa.types.is_date(column.type) else timestamp_texts
    assert write(column).null_count == len(column)


def test_the_edge_of_the_calendar_is_that_of_the_local_time() -> None:
    last = timestamps([253_402_300_799], "s", "+05:30")
    assert timestamp_texts(last).to_pylist() == [None]


def test_a_column_within_the_calendar_stays_as_it_is() -> None:
    column = pa.array([dt.date(2026, 1, 2), None])
    assert within_calendar(column).equals(column)


def test_a_zone_the_machine_does_not_know_is_said() -> None:
    assert why_no_zone(pa.timestamp("us", "Mars/Olympus")) == (
        "this machine knows no zone 'Mars/Olympus': convert the column to UTC first"
    )


@pytest.mark.parametrize("zone", [None, "+05:30", "UTC", "Europe/Berlin"])
def test_a_zone_the_machine_knows_is_fine(zone: str | None) -> None:
    assert why_no_zone(pa.timestamp("us", zone)) is None


def test_a_slice_of_a_column_gives_its_own_texts() -> None:
    column = timestamps([0, None, 3_600], "s", "Europe/Berlin").slice(1)
    assert timestamp_texts(column).to_pylist() == [None, "1970-01-01T02:00:00+01:00"]


def test_local_times_are_those_of_the_zone_database() -> None:
    moment = dt.datetime(1960, 5, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    column = pa.array([moment], pa.timestamp("us", "America/New_York"))
    assert timestamp_texts(column).to_pylist() == [moment.isoformat()]
