"""What an engine maps: a task to build some shards, and a task to collect one response file.

A task is a small frozen value, picklable and JSON-able. It reads and writes only inside its run
directory (and the source it names), under names that depend on nothing else, and its last file is
its done marker: a task that ran before is not run again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit import durable, jsonl
from batchkit.collecting import collect_responses
from batchkit.damage import check_size, reading
from batchkit.definition import Definition
from batchkit.errors import RunDirectoryError
from batchkit.key import BAD_KEYS
from batchkit.layout import outcome_schema
from batchkit.lines import LineEncoder, rows_schema
from batchkit.request_files import RequestFiles, WrittenShard
from batchkit.shape import check_shape, is_tally
from batchkit.specs.spec import Spec, spec_from_json
from batchkit.tables.pinned import Piece
from batchkit.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.lines import EncodedBatch

__all__ = ["BuildResult", "BuildTask", "CollectTask", "run_build", "run_collect"]

BUILD_FOLDER = "build"
BAD_KEYS_NAME = "bad_keys.parquet"


@dataclass(frozen=True, slots=True)
class BuildTask:
    """Rows that follow one another become request files in a folder of the task's own.

    `folder` is the run directory. `spec` travels with the task because a user's function is not
    in `run.json`.
    """

    folder: str
    number: int
    pieces: tuple[Piece, ...]
    spec: Spec

    @property
    def staging(self) -> Path:
        """Where its files go until the build is finished."""
        return Path(self.folder) / BUILD_FOLDER / f"{self.number:05d}"

    def to_json(self) -> dict[str, Any]:
        """The task as JSON; a user's function is named only."""
        pieces = [piece.to_json() for piece in self.pieces]
        return {
            "folder": self.folder,
            "number": self.number,
            "pieces": pieces,
            "spec": self.spec.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> BuildTask:
        """What `to_json` wrote."""
        pieces = tuple(Piece.from_json(piece) for piece in content["pieces"])
        return cls(content["folder"], content["number"], pieces, spec_from_json(content["spec"]))


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The shards that a task wrote, in row order."""

    number: int
    shards: tuple[WrittenShard, ...]


def run_build(task: BuildTask) -> BuildResult:
    """Write the task's request and rows files, or read what it wrote when it ran before."""
    marker = task.staging / "done.json"
    shards = _built_before(marker, task)
    if shards is None:
        durable.make_folder(task.staging)
        shards = _build(task)
        pieces = [piece.to_json() for piece in task.pieces]
        content = {"pieces": pieces, "shards": [asdict(shard) for shard in shards]}
        durable.write_whole(marker, jsonl.dumps_readable(content))
    return BuildResult(task.number, tuple(shards))


def _built_before(marker: Path, task: BuildTask) -> list[WrittenShard] | None:
    """The shards that this task wrote; another version may have cut the table otherwise.

    A damaged marker is none: the same files are written again.
    """
    with suppress(RunDirectoryError), reading(marker):
        content = jsonl.loads(marker.read_bytes())
        pieces = tuple(Piece.from_json(piece) for piece in content["pieces"])
        shards = [WrittenShard(**each) for each in content["shards"]]
        return shards if pieces == task.pieces else None
    return None


def _build(task: BuildTask) -> list[WrittenShard]:
    definition = Definition.read(Path(task.folder))
    schema = definition.table.schema
    encoder = LineEncoder(
        task.spec.bind(schema, definition.dialect),
        definition.dialect,
        definition.key,
        definition.carry,
        schema,
        definition.limits.max_bytes,
        hashed=definition.layout.provenance,
        tag=definition.tag,
    )
    files = RequestFiles(
        task.staging,
        definition.limits,
        rows_schema(schema, definition.carry),
        outcome_schema(task.spec, definition.layout),
    )
    with files, durable.whole_file(task.staging / "rejected.jsonl") as rejected:
        for encoded in _encoded(task, encoder, definition.table.columns(encoder.columns)):
            files.add(encoded)
            for row in encoded.rejected.to_pylist():
                rejected.write(jsonl.dumps(row) + b"\n")
    return files.shards


def _encoded(task: BuildTask, encoder: LineEncoder, schema: pa.Schema) -> Iterator[EncodedBatch]:
    bad_keys = _bad_keys(task)
    for piece in task.pieces:
        row = piece.first_row
        for batch in piece.batches(Path(task.folder), schema):
            yield encoder.encode(batch, row, bad_keys)
            row += batch.num_rows


def _bad_keys(task: BuildTask) -> pa.Table:
    """The rows of this task whose keys the build found unusable, of `BAD_KEYS`."""
    path = Path(task.folder) / BUILD_FOLDER / BAD_KEYS_NAME
    if not path.exists():
        return pa.Table.from_batches([], BAD_KEYS)
    first = task.pieces[0].first_row
    stop = task.pieces[-1].first_row + task.pieces[-1].rows
    return pq.read_table(path, filters=[("row", ">=", first), ("row", "<", stop)])


@dataclass(frozen=True, slots=True)
class CollectTask:
    """The response file of one attempt becomes the outcomes of its rows.

    `verdict` is for the rows that no line answers; all of them when there is no response file.
    `response_bytes` is the size that file came with, None where that is not known.
    """

    folder: str
    shard: str
    attempt: int
    verdict: Verdict
    response_bytes: int | None = None

    @property
    def outcomes(self) -> Path:
        """What it makes."""
        return Path(self.folder) / "outcomes" / f"{self.shard}-{self.attempt}.parquet"

    @property
    def marker(self) -> Path:
        """What is there when it has been done."""
        return self.outcomes.with_suffix(".json")

    def to_json(self) -> dict[str, Any]:
        """The task as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> CollectTask:
        """What `to_json` wrote."""
        verdict = Verdict(**content["verdict"])
        plain: dict[str, Any] = {**content, "verdict": verdict}
        return cls(**plain)


def run_collect(task: CollectTask) -> dict[str, Any]:
    """Write the attempt's outcomes, and return the counts of its lines; done once, read after.

    RunDirectoryError when the responses are no longer as they came.
    """
    counts = _collected_before(task)
    if counts is None:
        folder = Path(task.folder)
        if task.response_bytes is not None:
            responses = folder / "responses" / f"{task.shard}-{task.attempt}.jsonl"
            check_size(responses, task.response_bytes)
        counts = collect_responses(folder, task.shard, task.attempt, task.verdict)
        durable.write_whole(task.marker, jsonl.dumps_readable(counts))
    return counts


def _collected_before(task: CollectTask) -> dict[str, Any] | None:
    """What it counted; None too when its files were cut short: the same are written again."""
    with suppress(RunDirectoryError), reading(task.marker):
        content = jsonl.loads(task.marker.read_bytes())
        check_shape(content, {"lines": is_tally, "statuses": is_tally})
        pq.read_metadata(task.outcomes)
        return {"lines": content["lines"], "statuses": content["statuses"]}
    return None
