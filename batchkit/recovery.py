"""A run that was built again takes over the jobs and the answers of the one that was lost."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchkit import durable, jsonl
from batchkit.errors import (
    CapabilityError,
    JobNotFinishedError,
    NotAuthorisedError,
    NotFoundError,
    RowsError,
    SetupError,
)
from batchkit.events import Said
from batchkit.routing import Routing
from batchkit.service.client import cloud_of
from batchkit.targets.output import is_gone
from batchkit.targets.parcel import display_name
from batchkit.warehoused import check_rows
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.remains import Output, Remains
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Client
    from batchkit.service.job import BatchJob

__all__ = ["Recovery"]

_SCRATCH = "salvage"
_ASIDE = "salvage.quarantine.jsonl"
_OUTDONE = "another answer to its row was taken"
_HELD_BYTES = 64_000_000
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Recovery:
    """The run that is built, what is left of the lost one, a client when one is needed."""

    run: Run
    remains: Remains
    client: Callable[[], Client]
    tell: Progress

    def carry_out(self) -> None:
        """Write down whose job each shard has, or else what answers it has; safe to repeat."""
        run = self.run
        if self.remains.run not in {None, run.definition.id}:
            message = (
                f"{run.folder} holds run {run.definition.id}, and this is left of "
                f"{self.remains.run}: name a new directory with into="
            )
            raise SetupError(message)
        if run.definition.resident is not None:
            check_rows(run, cloud_of(self.client()).warehouse)
        jobs = self._matched()
        if jobs is not None:
            self._adopt(jobs)
        else:
            self._route()

    def _matched(self) -> dict[str, BatchJob] | None:
        """The job of each shard that has one, if all that is left is of jobs of such shards."""
        run = self.run
        found: defaultdict[str, list[BatchJob]] = defaultdict(list)
        shards = {self._job_name(shard): shard.name for shard in run.shards.shards}
        for job in self.remains.jobs:
            shard = shards.get(job.display_name or "")
            if shard is None:
                return None
            found[shard].append(job)
        attempts = {f"{shard}-1" for shard in found}
        if not found or any(each.attempt not in attempts for each in self.remains.outputs):
            return None
        kept = {s: [j for j in jobs if not j.cancelled] or jobs for s, jobs in found.items()}
        is_clear = all(len(jobs) == 1 for jobs in kept.values())
        return {shard: jobs[0] for shard, jobs in kept.items()} if is_clear else None

    def _job_name(self, shard: Shard) -> str:
        return display_name(self.run.definition.id, f"{shard.name}-1", shard.sha256)

    def _adopt(self, jobs: Mapping[str, BatchJob]) -> None:
        """The facts that a courier writes of a job it finds in the list."""
        run = self.run
        account = run.definition.fingerprint(self.client().account)
        shards = [shard for shard in run.shards.shards if shard.requests]
        for shard in shards:
            job, attempt = jobs.get(shard.name), run.ledger.attempt(shard.name, 1)
            if job is None or attempt.job == job.name:
                continue
            if attempt.job is not None or attempt.stage == "fetched":
                raise self._foreign(attempt)
            way = self._way(job)
            named = {"display_name": job.display_name, "sha256": shard.sha256}
            attempt = run.ledger.write(attempt, "intent", **named, target=way, account=account)
            seen = {"state": str(job.state), "raw_state": job.raw_state}
            run.ledger.write(attempt, "adopted", job=job.name, **seen)
        said = f"{len(jobs):,} of {len(shards):,} shards have their jobs again"
        self.tell(Said(f"{said}: wait, then collect"))

    def _way(self, job: BatchJob) -> str:
        """How the job's requests went."""
        if self.run.definition.dialect.service == "vertex":
            return self.run.shards.target
        return "file" if job.source.file_name else "inline"

    def _foreign(self, attempt: Attempt) -> SetupError:
        message = (
            f"shard {attempt.name} of {self.run.folder} has a job or answers already: salvage into "
            "a new directory (into=)"
        )
        return SetupError(message)

    def _route(self) -> None:
        """Sort the answers by shards, and write down that each shard's are fetched."""
        self._check_routable()
        scratch = self.run.folder / _SCRATCH
        shutil.rmtree(scratch, ignore_errors=True)
        durable.make_folder(scratch)
        try:
            self._route_through(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _route_through(self, scratch: Path) -> None:
        routing = Routing(self.run)
        names: list[str] = []
        for number, output in enumerate(self.remains.all_outputs):
            path = self._fetched(output, scratch / f"{number:05d}.jsonl")
            if path is not None:
                routing.take(path)
                names.append(output.name)
        self._check_fit(routing)
        parts = _Parts(scratch)
        self._sort(routing, names, parts)
        self._keep(parts)

    def _check_routable(self) -> None:
        """Raise, before anything is fetched, when answers cannot be sorted."""
        if self.run.definition.resident is not None:
            message = (
                "with pushdown jobs are taken over as they are, and these are not the jobs that "
                "this table, key and spec give: give what was asked"
            )
            raise CapabilityError(message)
        for attempt in self._attempts():
            fetched = attempt.last("fetched")
            if attempt.facts and (fetched is None or "salvaged" not in fetched.content):
                raise self._foreign(attempt)
        for job in self.remains.jobs:
            if not job.is_complete:
                message = (
                    f"{job.name} is {job.state}, and its requests are not those of a shard as "
                    "they are cut now: give the same limits, or wait for its end"
                )
                raise JobNotFinishedError(message, job)

    def _attempts(self) -> list[Attempt]:
        shards = [shard for shard in self.run.shards.shards if shard.requests]
        return [self.run.ledger.attempt(shard.name, 1) for shard in shards]

    def _fetched(self, output: Output, to: Path) -> Path | None:
        try:
            return output.fetch(self.client, to)
        except (NotFoundError, NotAuthorisedError) as error:
            if not is_gone(error):
                raise
            self.tell(Said(f"the output of {output.name} is gone", is_warning=True))
            return None

    def _check_fit(self, routing: Routing) -> None:
        """Raise RowsError when most answers are for nobody, and warn of what may be amiss."""
        lines = sum(len(routed.rows) for routed in routing.routed)
        unknown = sum(routed.unknown for routed in routing.routed)
        if 2 * unknown > lines or not lines:
            if not any(attempt.facts for attempt in self._attempts()):
                self.run.forget_build()
            message = f"{unknown:,} of {lines:,} answers are for no row of this table: "
            message += "give the table, key and spec that were asked; nothing was salvaged"
            raise RowsError(message if lines else "there is no answer in what is left of the run")
        if unknown:
            said = f"{unknown:,} of {lines:,} answers are for no row: collect sets them aside"
            self.tell(Said(said, is_warning=True))
        if 2 * routing.differing > routing.sampled:
            said = "most answers echo another request than their row's: is this what was asked?"
            self.tell(Said(said, is_warning=True))
        elif self.remains.jobs:
            said = "the jobs were asked other requests than these shards hold, by limits, table or"
            self.tell(Said(f"{said} spec: answers are joined one by one", is_warning=True))

    def _sort(self, routing: Routing, names: list[str], parts: _Parts) -> None:
        """Put each line where it belongs; what is outdone by another answer is set aside."""
        durable.make_folder(self.run.folder / "outcomes")
        with durable.whole_file(self.run.folder / "outcomes" / _ASIDE) as aside:
            for shard, output, (number, line) in routing.lines():
                if shard is not None:
                    parts.add(shard.name, names[output], line)
                    continue
                entry = {
                    "file": names[output],
                    "line": number,
                    "key": decode_line(line).key,
                    "reason": _OUTDONE,
                    "text": line.decode(errors="replace"),
                }
                aside.write(jsonl.dumps(entry) + b"\n")
        parts.flush()

    def _keep(self, parts: _Parts) -> None:
        """Give each shard its answers, once; those of an earlier salvage stay as they are."""
        durable.make_folder(self.run.folder / "responses")
        left_out = 0
        for attempt in self._attempts():
            part, path = parts.path(attempt.shard), self.run.responses_path(attempt)
            if attempt.facts:
                left_out += not _are_equal(part, path)
                continue
            name, size = None, None
            if part.exists():
                with part.open("rb") as source, durable.whole_file(path) as file:
                    shutil.copyfileobj(source, file)
                name, size = str(path.relative_to(self.run.folder)), path.stat().st_size
            salvaged = sorted(parts.sources[attempt.shard])
            content = {"file": name, "bytes": size, "lost": None, "salvaged": salvaged}
            self.run.ledger.write(attempt, "fetched", **content)
        if left_out:
            said = f"{left_out:,} shards have other answers from an earlier salvage, and keep those"
            self.tell(Said(said, is_warning=True))
        self.tell(Said("the answers are sorted by shards: collect joins them"))


@dataclass(slots=True)
class _Parts:
    """The lines of each shard, gathered in memory and then in files of a folder."""

    folder: Path
    sources: defaultdict[str, set[str]] = field(
        default_factory=lambda: defaultdict[str, set[str]](set)
    )
    _held: defaultdict[str, list[bytes]] = field(
        default_factory=lambda: defaultdict[str, list[bytes]](list)
    )
    _bytes: int = 0

    def path(self, shard: str) -> Path:
        """Where the lines of a shard are, if there are any."""
        return self.folder / f"{shard}.part"

    def add(self, shard: str, source: str, line: bytes) -> None:
        """Take one line, of the output of this name."""
        self.sources[shard].add(source)
        self._held[shard].append(line)
        self._bytes += len(line)
        if self._bytes > _HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory."""
        for shard, lines in self._held.items():
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self.path(shard), flags, _FILE_MODE), "ab") as file:
                file.writelines(line + b"\n" for line in lines)
        self._held.clear()
        self._bytes = 0


def _are_equal(one: Path, other: Path) -> bool:
    """Whether two files have the same content, or neither is there."""
    if not one.exists() or not other.exists():
        return one.exists() == other.exists()
    return filecmp.cmp(one, other, shallow=False)
