"""A run: the directory that holds everything about one table and one spec, restartable anywhere."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from batchkit import durable, jsonl
from batchkit.damage import COLLECT_AGAIN, damaged, reading
from batchkit.definition import Definition
from batchkit.display.html import tally_html
from batchkit.errors import AccountChangedError, RunDirectoryError, RunHeldError
from batchkit.fold import ShardOutcomes, tally
from batchkit.layout import outcome_schema
from batchkit.ledger import Attempt, Fact, Ledger
from batchkit.links import check_no_links
from batchkit.outcome import STATUSES
from batchkit.shape import check_shape, is_count, is_text
from batchkit.shards import Shard, Shards, read_shards
from batchkit.soundness import check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

__all__ = ["AUDIT", "Run", "Shard", "Shards", "open_run", "opened"]

AUDIT = "audit.json"
_SHARDS = "shards.json"
_LEASE = ".lease"
_HOLDER = "lease.json"
_HOLDER_LOOKS = 50
_HOLDER_SECONDS = 0.02
_ASKED = {"first_row": is_count, "requests": is_count, "bytes": is_count, "sha256": is_text}


class Run:
    """One run directory; reading it needs nothing else, and no network.

    `observe` is called with each attempt and fact the moment the fact is written.
    """

    def __init__(
        self, folder: Path, observe: Sequence[Callable[[Attempt, Fact], None]] = ()
    ) -> None:
        self.folder = folder
        self.ledger: Ledger = Ledger(folder / "ledger", observe)
        self._definition: Definition | None = None
        self._shards: Shards | None = None
        self._has_no_links = False

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The state of the run, for a notebook."""
        if not self.is_built:
            return tally_html(f"{self.folder}: not built to the end", {})
        stages = Counter(attempt.stage for attempt in self.attempts())
        said = ", ".join(f"{count} shards {stage}" for stage, count in stages.items())
        return tally_html(f"{self.folder}: {said or 'nothing to send'}", self.tally())

    def _check_links(self) -> None:
        """Look once: who can make links while we work needs none to do us harm."""
        if not self._has_no_links:
            check_no_links(self.folder)
            self._has_no_links = True

    @property
    def is_defined(self) -> bool:
        """Whether the directory holds a run, built or not."""
        return (self.folder / "run.json").exists()

    def define(self, definition: Definition) -> None:
        """Write down what the run is."""
        definition.write(self.folder)
        self._definition = definition

    @property
    def definition(self) -> Definition:
        """What the run was built from; RunDirectoryError when this is no run directory."""
        if self._definition is None:
            self._check_links()
            self._definition = Definition.read(self.folder)
        return self._definition

    @property
    def is_built(self) -> bool:
        """Whether all requests are there."""
        return (self.folder / _SHARDS).exists()

    @property
    def shards(self) -> Shards:
        """The shards; RunDirectoryError when the run is not built to the end."""
        if self._shards is None:
            definition = self.definition  # which looks for links first
            shards = read_shards(self.folder / _SHARDS)
            if definition.resident is None and shards.rows != definition.table.rows:
                reason = f"{shards.rows:,} rows in shards, and {definition.table.rows:,} in all"
                raise damaged(self.folder / _SHARDS, reason)
            self._shards = shards
        return self._shards

    def finish_build(self, shards: Shards) -> None:
        """Write down the shards: the run is built from here on."""
        content = {
            "target": shards.target,
            "rows": shards.rows,
            "requests": shards.requests,
            "rejected": shards.rejected,
            "shards": [asdict(shard) for shard in shards.shards],
        }
        durable.write_whole(self.folder / _SHARDS, jsonl.dumps_readable(content))
        self._shards = shards

    def forget_build(self) -> None:
        """Let the next build into this directory be of something else; nothing was sent of it."""
        (self.folder / _SHARDS).unlink(missing_ok=True)
        self._shards = None

    def rows_path(self, shard: str) -> Path:
        """The rows of a shard."""
        return self.folder / "rows" / f"{shard}.parquet"

    def requests_path(self, shard: str) -> Path:
        """The request file of a shard; for rows that stay in BigQuery, the SELECT that gives it."""
        ending = "jsonl" if self.definition.resident is None else "sql"
        return self.folder / "requests" / f"{shard}.{ending}"

    def responses_path(self, attempt: Attempt) -> Path:
        """What came back for an attempt, untouched."""
        return self.folder / "responses" / f"{attempt.name}.jsonl"

    def outcomes_path(self, shard: str, attempt: int) -> Path:
        """What became of the rows of a shard in an attempt; attempt 0 is the build itself."""
        return self.folder / "outcomes" / f"{shard}-{attempt}.parquet"

    def outcomes(self, shard: Shard) -> ShardOutcomes:
        """What became of the rows of one shard, over all attempts so far."""
        attempts = self.ledger.attempts(shard.name)
        numbers = [0, *(attempt.number for attempt in attempts)]
        paths = {number: self.outcomes_path(shard.name, number) for number in numbers}
        there = {number: path for number, path in paths.items() if path.exists()}
        check_rows(self.rows_path(shard.name), shard.rows)
        again = [each for each in attempts if each.number > 1 and each.number not in there]
        under_way = [self.rows_path(attempt.asked_name) for attempt in again]
        schema = outcome_schema(self.definition.spec, self.definition.layout)
        return ShardOutcomes(there, schema, shard.first_row, shard.rows, under_way)

    def tally(self) -> Mapping[str, int]:
        """Rows by status; they add up to the number of rows, and `pending` ones are still open.

        Rows that stay in BigQuery were counted there, by the last collect.
        """
        if self.definition.resident is not None:
            return self._counted()
        return tally(self.outcomes(shard) for shard in self.shards.shards)

    def _counted(self) -> Mapping[str, int]:
        audit = self.folder / AUDIT
        if audit.exists():
            with reading(audit, COLLECT_AGAIN):
                content = jsonl.loads(audit.read_bytes())
                check_shape(content, {"statuses": dict.fromkeys(STATUSES, is_count)})
                return {status: content["statuses"][status] for status in STATUSES}
        shards = self.shards
        open_rows = {"rejected": shards.rejected, "pending": shards.rows - shards.rejected}
        return {status: open_rows.get(status, 0) for status in STATUSES}

    def asked(self) -> Iterator[tuple[Shard, Attempt]]:
        """All attempts at shards with requests: by shard in source order, then by number.

        With what each asks: the shard as it was built, or the rows of it that are asked again.
        """
        for shard in self.shards.shards:
            if shard.requests:
                for attempt in self.ledger.attempts(shard.name):
                    yield self.asked_by(shard, attempt), attempt

    def asked_by(self, shard: Shard, attempt: Attempt) -> Shard:
        """What an attempt at a shard asks, and where."""
        if attempt.number == 1:
            return shard
        built = attempt.last("built")
        content: Mapping[str, Any] = built.content if built else {}
        try:
            check_shape(content, _ASKED)
        except ValueError as error:
            message = f"{self.folder / 'ledger' / attempt.name} does not say what it asks: {error}"
            raise RunDirectoryError(message, self.folder) from error
        known = {name: content[name] for name in _ASKED}
        return Shard(name=attempt.asked_name, rows=known["requests"], **known)

    def attempts(self) -> list[Attempt]:
        """All attempts at shards that have requests, in the order of `asked`."""
        return [attempt for _, attempt in self.asked()]

    def twins(self) -> dict[str, tuple[str, ...]]:
        """Attempts whose requests went out twice, and the jobs beside the one that is collected."""
        return {attempt.name: attempt.twins for attempt in self.attempts() if attempt.twins}

    def check_account(self, account: str) -> None:
        """Raise AccountChangedError when jobs of this run are under way with another account."""
        mine = self.definition.fingerprint(account)
        for attempt in self.attempts():
            intent = attempt.last("intent")
            is_open = attempt.stage in {"sending", "running", "ended"}
            if intent and is_open and intent.content.get("account") != mine:
                message = (
                    f"shard {attempt.asked_name} of {self.folder} is under way with another API "
                    "key: go on with that key, or the run could not find its own jobs"
                )
                raise AccountChangedError(message)

    @contextlib.contextmanager
    def hold(self) -> Generator[None]:
        """Be the only driver of this run; RunHeldError names the other one.

        The operating system lets go when the process dies, however it dies.
        """
        durable.make_folder(self.folder)
        self._check_links()  # a link in place of the lock would have another file emptied
        lock = filelock.FileLock(self.folder / _LEASE, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            holder = _holder(self.folder)
            message = f"{self.folder} is held by {holder}: wait for it, or stop it"
            raise RunHeldError(message, holder) from None
        try:
            me = {"holder": f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()}"}
            durable.write_whole(self.folder / _HOLDER, jsonl.dumps_readable(me))
            yield
        finally:
            lock.release()


def opened(run: Run | str | Path) -> Run:
    """The run itself, or the one in this directory."""
    return run if isinstance(run, Run) else open_run(run)


def open_run(path: str | Path) -> Run:
    """The run in a directory, from any process on any day; RunDirectoryError when it is none."""
    run = Run(Path(path).expanduser())
    _ = run.definition
    return run


def _holder(folder: Path) -> str:
    """Who holds the run; its first holder needs a moment to write down its name."""
    for _ in range(_HOLDER_LOOKS):
        try:
            return str(jsonl.loads((folder / _HOLDER).read_bytes())["holder"])
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(_HOLDER_SECONDS)
    return "another process"
