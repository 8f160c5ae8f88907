"""What a run has made at the service, found by what it is called and by what the ledger says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Literal, TypeAlias

from batchkit.errors import InvalidRequestError, NotFoundError
from batchkit.pushed import results_table
from batchkit.service.client import Gemini, cloud_of
from batchkit.storage import ObjectUri, StoredObject, checksum, checksum_of_next
from batchkit.targets.bigquery import job_table
from batchkit.targets.gcs import request_object, response_folder
from batchkit.warehouse import TableName
from batchkit.warehoused import unwritten_results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from batchkit.ledger import Attempt
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["Belonging", "Belongings"]

Kind: TypeAlias = Literal["file", "output", "object", "table", "job"]

# https://github.com/googleapis/python-genai/issues/1613
_UNDELETED = "the service has not been seen to delete the output of a job; it is asked to"
# Where a job of Vertex AI writes below the prefix that it was given.
_OUTPUT = re.compile(r"prediction-[^/]+/[^/]+\.jsonl")


@dataclass(frozen=True, slots=True)
class Belonging:
    """One thing of a run's at the service, of `bytes` or `rows` where these are known.

    `kind` is "file" (uploaded requests), "output" (a job's file of responses), "object", "table"
    or "job"; `kept` says why it stays, None when it may go.
    """

    kind: Kind
    name: str
    bytes: int | None = None
    rows: int | None = None
    kept: str | None = None
    generation: int | None = None


class Belongings:
    """What one run has at the service of `client`; things of anybody else's are not seen.

    What is not fetched yet is to be kept, unless `unfetched` may go, too.
    """

    def __init__(self, run: Run, client: Client, *, unfetched: bool = False) -> None:
        self._run = run
        self._client = client
        self._id = run.definition.id
        self._unfetched = unfetched
        self._attempts = [
            attempt
            for shard in run.shards.shards
            for attempt in run.ledger.attempts(shard.name)
            if attempt.facts
        ]

    def found(self, *, jobs: bool = False) -> list[Belonging]:
        """All there is now, in an order in which it can be deleted and the rest found again.

        With `jobs`, the jobs themselves come last.
        """
        if isinstance(self._client, Gemini):
            things = list(self._files(self._client))
        else:
            things = [
                thing
                for attempt in self._attempts
                for target in self._targets(attempt)
                for thing in self._of_vertex(attempt, target)
            ]
            things += self._tables_of_rows()
        if jobs:
            things += self._jobs()
        return list({thing.name: thing for thing in things}.values())

    def foretold(self, thing: Belonging) -> Belonging:
        """What `delete` is expected to give back."""
        return replace(thing, kept=_UNDELETED) if thing.kind == "output" else thing

    def delete(self, thing: Belonging) -> Belonging:
        """Delete it, and give it back; kept when the service does not delete such a thing.

        One that is gone by now is no error.
        """
        try:
            self._delete(thing)
        except NotFoundError:
            return thing
        except InvalidRequestError as error:
            if thing.kind not in {"output", "job"}:
                raise
            return replace(thing, kept=f"the service does not delete it ({error.message.strip()})")
        return thing

    def _delete(self, thing: Belonging) -> None:
        client = self._client
        if thing.kind == "job":
            client.batches.delete(thing.name)
        elif isinstance(client, Gemini):
            client.files.delete(thing.name)
        elif thing.kind == "table":
            client.cloud.warehouse.drop(TableName.parse(thing.name))
        else:
            uri, generation = ObjectUri.parse(thing.name), thing.generation or 0
            client.cloud.objects.delete(StoredObject(uri, generation, thing.bytes or 0, ""))

    def _files(self, client: Gemini) -> Iterator[Belonging]:
        """Uploads by the names in the ledger or by ours, and outputs that the service lists."""
        by_attempt = {attempt.name: attempt for attempt in self._attempts}
        uploads = _named(self._attempts, "uploaded", "file")
        outputs = _named(self._attempts, "ended", "output")
        prefix = f"batchkit-{self._id}-"
        for file in client.files.list_all():
            attempt = uploads.get(file.name) or outputs.get(file.name)
            display_name = file.display_name or ""
            if attempt is None and display_name.startswith(prefix):
                named = display_name.removeprefix(prefix).rpartition("-")[0]
                attempt = by_attempt.get(named)
            if attempt is not None:
                kind: Kind = "output" if file.name in outputs else "file"
                yield Belonging(kind, file.name, file.bytes, kept=self._kept(attempt))

    def _of_vertex(self, attempt: Attempt, target: str) -> Iterator[Belonging]:
        output = self._run.definition.output
        if target.startswith("bq://"):
            yield from self._tables(attempt, target)
        else:
            yield from self._requests(attempt, target)
            output = output or target
        if output is not None:
            yield from self._responses(attempt, output)

    def _requests(self, attempt: Attempt, target: str) -> Iterator[Belonging]:
        """The object of this attempt's requests, as the ledger knows it, or with their bytes."""
        stored = cloud_of(self._client).objects.find(request_object(target, self._id, attempt.name))
        if stored is None:
            return
        facts = [fact.content for fact in attempt.facts if fact.kind == "uploaded"]
        known = [each["generation"] for each in facts if each.get("object") == str(stored.uri)]
        path = self._run.requests_path(attempt.asked_name)
        is_ours = stored.generation in known
        if not known and path.exists():
            is_ours = stored.crc32c == checksum(path)
        if is_ours:
            yield self._object(attempt, stored)

    def _responses(self, attempt: Attempt, output: str) -> Iterator[Belonging]:
        """What the job wrote and the run holds byte for byte; before that, what looks like it.

        The last come first, so that those which are left begin the fetched file as they did.
        """
        folder = response_folder(output, self._id, attempt.name)
        prefix = ObjectUri(folder.bucket, f"{folder.name}/")
        listed = [
            each
            for each in cloud_of(self._client).objects.list(prefix)
            if _OUTPUT.fullmatch(each.uri.name.removeprefix(prefix.name))
        ]
        if attempt.stage == "fetched":
            listed = _fetched(self._run.responses_path(attempt), listed)
        for each in reversed(listed):
            yield self._object(attempt, each)

    def _object(self, attempt: Attempt, stored: StoredObject) -> Belonging:
        kept = self._kept(attempt)
        name, generation = str(stored.uri), stored.generation
        return Belonging("object", name, stored.bytes, kept=kept, generation=generation)

    def _tables(self, attempt: Attempt, target: str) -> Iterator[Belonging]:
        for what in ("requests", "responses"):
            name = job_table(target, self._id, attempt.name, what)
            yield from self._table(name, self._kept(attempt) or self._kept_results())

    def _tables_of_rows(self) -> list[Belonging]:
        """The numbered rows of a run with pushdown, which the result is joined from."""
        definition = self._run.definition
        if definition.resident is None:
            return []
        rows = results_table(definition).beside(f"batchkit_{self._id}_rows")
        return list(self._table(rows, self._kept_rows() or self._kept_results()))

    def _table(self, name: TableName, kept: str | None) -> Iterator[Belonging]:
        info = cloud_of(self._client).warehouse.find(name)
        if info is not None:
            yield Belonging("table", str(name), rows=info.rows, kept=kept)

    def _jobs(self) -> Iterator[Belonging]:
        """Those of the ledger that the service still lists."""
        listed = {job.name for job in self._client.batches.find(f"batchkit-{self._id}-")}
        for attempt in self._attempts:
            if attempt.job in listed:
                yield Belonging("job", str(attempt.job), kept=self._kept(attempt))

    def _targets(self, attempt: Attempt) -> list[str]:
        """The ways that requests went, or were to go; for salvaged answers, the way of the run."""
        intents = [fact.content["target"] for fact in attempt.facts if fact.kind == "intent"]
        return list(dict.fromkeys(intents)) or [self._run.shards.target]

    def _kept(self, attempt: Attempt) -> str | None:
        if self._unfetched or attempt.stage == "fetched":
            return None
        return f"shard {attempt.name} is {attempt.stage}: its answers are not here yet"

    def _kept_rows(self) -> str | None:
        open_shards = [kept for kept in map(self._kept, self._run.attempts()) if kept]
        return open_shards[0] if open_shards else None

    def _kept_results(self) -> str | None:
        """Of a run with pushdown, the answers are in tables until the result is written."""
        if self._run.definition.resident is None or self._unfetched:
            return None
        return unwritten_results(self._run, cloud_of(self._client).warehouse)


def _named(attempts: Iterable[Attempt], kind: str, name: str) -> Mapping[str, Attempt]:
    """Attempts by what their facts of a kind name."""
    return {
        fact.content[name]: attempt
        for attempt in attempts
        for fact in attempt.facts
        if fact.kind == kind and fact.content.get(name)
    }


def _fetched(path: Path, listed: Iterable[StoredObject]) -> list[StoredObject]:
    """Of objects in the order in which they were fetched, those that are in the file, whole.

    One that somebody else put among them is not, nor one that changed since.
    """
    if not path.exists():
        return []
    there: list[StoredObject] = []
    start = 0
    with path.open("rb") as file:
        for each in listed:
            file.seek(start)
            if each.bytes and checksum_of_next(file, each.bytes) == each.crc32c:
                there.append(each)
                start += each.bytes + _added_newline(file, start + each.bytes)
    return there


def _added_newline(file: IO[bytes], end: int) -> int:
    """One when the last line of an object got its end when it was fetched."""
    file.seek(end - 1)
    return int(file.read(1) != b"\n")
