from __future__ import annotations

import datetime as dt

import pytest

from batchkit.emulator import Clock
from batchkit.emulator.clock import timestamp

NOON = dt.datetime(2026, 1, 6, 12, tzinfo=dt.UTC)


def test_a_clock_with_a_start_stands_still() -> None:
    clock = Clock(NOON)
    assert clock.now() == clock.now() == NOON


def test_advancing_moves_the_time_by_fractions_of_a_second_too() -> None:
    clock = Clock(NOON)
    clock.advance(90.5)
    assert clock.now() - NOON == dt.timedelta(seconds=90.5)


def test_a_clock_without_a_start_is_real_time_plus_what_it_was_advanced() -> None:
    clock = Clock()
    clock.advance(3600)
    ahead = clock.now() - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=59) < ahead <= dt.timedelta(hours=1)


def test_time_cannot_be_moved_back() -> None:
    with pytest.raises(ValueError, match="back"):
        Clock().advance(-1)


def test_reaching_an_instant_of_the_past_changes_nothing() -> None:
    clock = Clock(NOON)
    clock.reach(clock.nanoseconds() - 1)
    assert clock.now() == NOON
    clock.reach(clock.nanoseconds() + 1_000_000_000)
    assert clock.now() == NOON + dt.timedelta(seconds=1)


def test_a_timestamp_has_nine_fractional_digits() -> None:
    assert timestamp(1_767_697_751_943_530_657) == "2026-01-06T11:09:11.943530657Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000000000Z"
