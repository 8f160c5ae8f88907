from __future__ import annotations

import datetime as dt
import math

import pytest

from batchkit.emulator import Clock
from batchkit.emulator.clock import nanoseconds, timestamp

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


@pytest.mark.parametrize("seconds", [1e10, 1e308, math.inf, math.nan])
def test_time_cannot_be_moved_beyond_what_can_be_kept(seconds: float) -> None:
    clock = Clock(NOON)
    with pytest.raises(ValueError, match="cannot be moved"):
        clock.advance(seconds)
    assert clock.now() == NOON


def test_it_can_be_moved_by_many_years() -> None:
    clock = Clock(NOON)
    clock.advance(100 * 365 * 24 * 3600)
    assert clock.now().year == 2125


def test_a_duration_without_end_is_one_that_can_be_added_to_any_time() -> None:
    clock = Clock(NOON)
    clock.advance(120 * 365 * 24 * 3600)
    assert 40 < nanoseconds(math.inf) / (365 * 24 * 3600 * 1e9) <= 50
    assert clock.nanoseconds() + 2 * nanoseconds(math.inf) < 2**63
