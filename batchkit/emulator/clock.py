"""Time as the emulator sees it."""

from __future__ import annotations

import datetime as dt
import threading
import time

__all__ = ["Clock", "nanoseconds", "timestamp"]

_SECOND = 1_000_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
# What is counted from the last instant still fits into the 64 bits of a database's integer.
_LAST = (dt.datetime(2150, 1, 1, tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND * 1000
_LONGEST_SECONDS = 50 * 365 * 24 * 3600.0


class Clock:
    """Real time, or a time that stands still at `start`; `advance` moves either forward."""

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._fixed = None if start is None else (start - _EPOCH) // _MICROSECOND * 1000
        self._offset = 0
        self._lock = threading.Lock()

    def now(self) -> dt.datetime:
        """This instant, in UTC, to the microsecond."""
        return _EPOCH + self.nanoseconds() // 1000 * _MICROSECOND

    def nanoseconds(self) -> int:
        """This instant as nanoseconds since 1970, the unit in which the emulator keeps time."""
        return (time.time_ns() if self._fixed is None else self._fixed) + self._offset

    def advance(self, seconds: float) -> None:
        """Move forward; ValueError when `seconds` is negative, or leads beyond the year 2149."""
        if not seconds >= 0:
            message = f"a clock cannot be moved back, but was to be by {seconds} s"
            raise ValueError(message)
        with self._lock:
            if self.nanoseconds() + seconds * _SECOND >= _LAST:
                message = f"a clock cannot be moved by {seconds} s: it ends with the year 2149"
                raise ValueError(message)
            self._offset += round(seconds * _SECOND)

    def reach(self, instant: int) -> None:
        """Move forward to an instant that has already been seen, if it lies ahead."""
        with self._lock:
            self._offset += max(0, instant - self.nanoseconds())


def nanoseconds(seconds: float) -> int:
    """A duration in the emulator's unit; 50 years are as good as for ever."""
    return round(min(seconds, _LONGEST_SECONDS) * _SECOND)


def timestamp(instant: int) -> str:
    """RFC 3339 with nine fractional digits, as the batch service prints it."""
    seconds, fraction = divmod(instant, _SECOND)
    moment = _EPOCH + dt.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
