"""What the emulator tells and obeys beyond Google's API: statistics and the clock."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.clock import timestamp
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.files import Files
    from batchkit.emulator.interactive import Interactive
    from batchkit.emulator.life import Life
    from batchkit.emulator.storage import Storage
    from batchkit.emulator.workspace import Workspace

__all__ = ["Control"]


class Control:
    """The `/_emulator/` calls; they need no API key."""

    def __init__(
        self,
        workspace: Workspace,
        lives: Mapping[str, Life],
        *,
        files: Files,
        interactive: Interactive,
        storage: Storage,
    ) -> None:
        """`lives` are those of the services, by what the names of their jobs' states begin with."""
        self._workspace = workspace
        self._lives = lives
        self._files = files
        self._interactive = interactive
        self._storage = storage

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        return (
            Route("GET", "/_emulator/stats", self._stats, frozenset({"requests"}), open=True),
            Route("POST", "/_emulator/clock", self._advance, open=True),
        )

    def stats(self, *, requests: bool = True) -> dict[str, Any]:
        """What there is, and what was paid.

        `jobs` by state; `files` and `bytes` that have not expired; `buckets`, `objects` and
        `object_bytes` of Cloud Storage; `calls` answered at once, by method; `faults`: how often
        each kind has struck; `requests`: how often each wire key was processed, keyless rows
        under "".
        """
        for life in self._lives.values():
            life.settle()
        now = self._workspace.clock.nanoseconds()
        states = Counter(
            prefix + job.state_at(now)
            for prefix, life in self._lives.items()
            for job in life.jobs.all()
        )
        stats: dict[str, Any] = {
            "now": timestamp(now),
            "jobs": dict(states),
            "files": self._files.count(),
            "bytes": self._files.stored_bytes(),
            **self._storage.stats(),
            "calls": self._interactive.calls(),
            "faults": self._workspace.fate.counts(),
        }
        return stats | ({"requests": self._processed()} if requests else {})

    def _processed(self) -> dict[str, int]:
        """All services count in the same table."""
        return next(iter(self._lives.values())).jobs.processed()

    def _stats(self, request: Request) -> Reply:
        return json_reply(self.stats(requests=request.query.get("requests") != "0"))

    def _advance(self, request: Request) -> Reply:
        try:
            body = orjson.loads(request.body.read(self._workspace.limits.inline_bytes))
            self._workspace.clock.advance(body["advance"])
        except (ValueError, TypeError, KeyError) as error:
            text = f'A body {{"advance": seconds}} is expected: {error}'
            raise ApiError(Rpc.INVALID_ARGUMENT, text) from None
        with self._workspace.state.transaction():
            pass  # keeps the instant, for a restart
        return json_reply({"now": timestamp(self._workspace.clock.nanoseconds())})
