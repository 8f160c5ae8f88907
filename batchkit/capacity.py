"""How much the service takes at once: held back here, before it is refused there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Capacity"]

_FORGET_SECONDS = 3600.0
_FIRST_PAUSE_SECONDS = 15.0
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass
class Capacity:
    """What may be under way: jobs and their estimated tokens, by limits and by what was refused.

    The service counts all jobs of an account, of other runs, too. So after it refused one (429),
    none is tried until a job of ours has ended, and then as many as stay below what was too much;
    with none of ours under way, one is tried now and then. An hour later all is forgotten.
    """

    max_jobs: int
    max_tokens: int
    under_way: dict[str, int] = field(default_factory=dict[str, int])
    _too_much: int | None = None
    _is_full: bool = False
    _refused_at: float = 0.0
    _pause_seconds: float = 0.0

    def see(self, under_way: Mapping[str, int]) -> None:
        """Take in which jobs are under way, with their tokens; one that ended has made room."""
        if self.under_way.keys() - under_way.keys():
            self._is_full = False
        self.under_way = dict(under_way)

    def why_not(self, tokens: int) -> str | None:
        """Why a job of so many tokens is not to be tried now; None when it is.

        With none under way any is tried: it may be all that fits.
        """
        since = time.monotonic() - self._refused_at
        if since > _FORGET_SECONDS:
            self._is_full, self._too_much = False, None
        jobs, known = len(self.under_way), sum(self.under_way.values())
        if not jobs:
            paused = self._is_full and since < self._pause_seconds
            return (
                "the service takes no job now, and none of this run is under way"
                if paused
                else None
            )
        if self._is_full:
            return "the service takes no more until a job has ended"
        if jobs >= self.max_jobs:
            return f"{jobs:,} jobs are under way, of {self.max_jobs:,}"
        if known + tokens > self.max_tokens:
            return f"about {known:,} tokens are under way, of {self.max_tokens:,}"
        if self._too_much is not None and known + tokens >= self._too_much:
            return f"the service takes less than about {self._too_much:,} tokens at once"
        return None

    def took(self, name: str, tokens: int) -> None:
        """The service took a job of so many tokens."""
        self.under_way[name] = tokens
        self._pause_seconds = 0.0

    def refused(self, tokens: int, retry_after: float | None) -> None:
        """The service refused a job of so many tokens because of those that are under way."""
        self._too_much = sum(self.under_way.values()) + tokens if self.under_way else None
        self._is_full, self._refused_at = True, time.monotonic()
        longer = min(max(_FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), _LONGEST_PAUSE_SECONDS)
        self._pause_seconds = max(longer, retry_after or 0.0)
