"""What is left of a run whose directory was lost: jobs, and answers wherever they lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from batchkit.durable import whole_file
from batchkit.errors import SetupError
from batchkit.service.client import cloud_of
from batchkit.service.job import BatchJob, JobPlace, JobState
from batchkit.storage import ObjectUri
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from batchkit.service.client import Client
    from batchkit.storage import StoredObject

__all__ = ["Output", "Remains", "find_remains"]

_JOB = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?(?:batches|batchPredictionJobs)/[\w-]+")
_RUN = r"(?P<run>\d{14}-[0-9a-f]{8})"
_ATTEMPT = r"(?P<attempt>\d{5,}-\d+)"
# What a run calls its jobs, the folders of their outputs, and their tables.
_DISPLAY_NAME = re.compile(rf"batchkit-{_RUN}-{_ATTEMPT}-[0-9a-f]{{12}}")
_FOLDER = re.compile(rf"(?:.*/)?{_RUN}/responses/{_ATTEMPT}/.*", re.DOTALL)
_TABLE = re.compile(r"batchkit_(\d{14})_([0-9a-f]{8})_(\d{5,})_(\d+)_responses")
_LINES = ".jsonl"
_REQUESTS = "requests"  # the folder whose lines are no answers

Place: TypeAlias = "Path | tuple[StoredObject, ...] | TableName | BatchJob"


@dataclass(frozen=True, slots=True)
class Output:
    """The answers of one job: `name` is for people, `place` where they lie.

    `run` and `attempt` are what the name says of the run that made them, None where it is silent.
    """

    name: str
    place: Place
    run: str | None = None
    attempt: str | None = None

    @property
    def number(self) -> int:
        """Which attempt at its rows it is."""
        return int(self.attempt.rpartition("-")[2]) if self.attempt else 1

    def fetch(self, client: Callable[[], Client], to: Path) -> Path | None:
        """The answers as a file, which is `to` unless they are one; None when there are none."""
        place = self.place
        if isinstance(place, Path):
            return place
        if isinstance(place, TableName):
            there = JobPlace(bigquery_uri=str(place))
            job = BatchJob(self.name, JobState.SUCCEEDED, destination=there)
            return to if client().batches.write_output(job, to) else None
        if isinstance(place, BatchJob):
            batches = client().batches
            return to if batches.write_output(batches.get(place.name), to) else None
        with whole_file(to) as file:
            for stored in place:
                cloud_of(client()).objects.download(stored, file)
                file.write(b"\n")  # the last line may lack its end; an empty one says nothing
        return to


@dataclass(frozen=True, slots=True)
class Remains:
    """The jobs of a lost run, `run` by its id, and outputs beside them; the first attempts first.

    The id is None when nothing names one.
    """

    run: str | None
    jobs: tuple[BatchJob, ...]
    outputs: tuple[Output, ...]

    @property
    def all_outputs(self) -> list[Output]:
        """Those of the jobs that no other output stands for, and the others."""
        there = {output.attempt for output in self.outputs if output.run}
        of_jobs = [_output_of(job) for job in self.jobs]
        unseen = [output for output in of_jobs if output.attempt not in there or not output.run]
        return sorted([*unseen, *self.outputs], key=lambda output: output.number)


def _output_of(job: BatchJob) -> Output:
    """The output of a job, by what its display name says."""
    found = _DISPLAY_NAME.fullmatch(job.display_name or "")
    named = (found["run"], found["attempt"]) if found else (None, None)
    return Output(job.name, job, *named)


def find_remains(answers: Iterable[str | Path], client: Callable[[], Client]) -> Remains:
    """What is left where the user says: jobs by their names, or by how display names begin.

    Also gs:// folders, bq:// tables, files and folders of lines. Where anything at the service
    names the run, all its jobs that are listed are there, too. SetupError when there is
    nothing, or when things are of several runs.
    """
    jobs: dict[str, BatchJob] = {}
    outputs: dict[str, Output] = {}
    for answer in answers:
        if isinstance(answer, str) and _JOB.fullmatch(answer):
            jobs[answer] = client().batches.get(answer)
            continue
        found = list(_outputs(answer, client))
        outputs |= {output.name: output for output in found}
        if not found:
            named = {job.name: job for job in client().batches.find(str(answer))}
            if not named:
                message = f"{answer}: no such file, and no job whose display name begins so"
                raise SetupError(message)
            jobs |= named
    if not jobs and not outputs:
        message = "nothing is named of what is left: give jobs, gs:// folders, or files"
        raise SetupError(message)
    run = _only_run([*outputs.values(), *map(_output_of, jobs.values())])
    is_there = jobs or any(not isinstance(output.place, Path) for output in outputs.values())
    if run is not None and is_there:
        jobs |= {job.name: job for job in client().batches.find(f"batchkit-{run}-")}
    by_name = {job.name: job for job in jobs.values()}
    return Remains(run, tuple(sorted(by_name.values(), key=_age)), tuple(outputs.values()))


def _only_run(outputs: Sequence[Output]) -> str | None:
    runs = sorted({output.run for output in outputs if output.run})
    if len(runs) > 1:
        message = f"these are of several runs ({', '.join(runs)}): name what is of one of them"
        raise SetupError(message)
    return runs[0] if runs else None


def _age(job: BatchJob) -> tuple[float, str]:
    return (job.create_time.timestamp() if job.create_time else 0.0, job.name)


def _outputs(answer: str | Path, client: Callable[[], Client]) -> Iterator[Output]:
    """The outputs at a path or an address; none for a text that is neither."""
    text = str(answer)
    path = Path(text).expanduser()
    if text.startswith("gs://"):
        yield from _objects(text, client)
    elif text.startswith("bq://"):
        yield _table(text)
    elif path.is_dir():
        for file in _files(path):
            yield _named(str(file), file)
    elif path.exists():
        yield _named(str(path), path)
    elif isinstance(answer, Path):
        message = f"{path}: no such file"
        raise SetupError(message)


def _files(folder: Path) -> Iterator[Path]:
    found = [
        path
        for path in sorted(folder.rglob(f"*{_LINES}"))
        if _REQUESTS not in path.relative_to(folder).parts[:-1]
    ]
    if not found:
        message = f"{folder} holds no {_LINES} with answers"
        raise SetupError(message)
    yield from found


def _objects(address: str, client: Callable[[], Client]) -> Iterator[Output]:
    """The objects at an address, those of each folder together: they are one job's."""
    uri = ObjectUri.parse(address)
    folders: dict[str, list[StoredObject]] = {}
    for stored in cloud_of(client()).objects.list(uri):
        rest = stored.uri.name.removeprefix(uri.name)
        is_below = not rest or rest.startswith("/") or uri.name.endswith("/") or not uri.name
        folder, _, _ = stored.uri.name.rpartition("/")
        if is_below and rest.split("/")[-2:-1] != [_REQUESTS] and _is_lines(stored):
            folders.setdefault(folder, []).append(stored)
    if not folders:
        message = f"{address} holds no {_LINES} with answers"
        raise SetupError(message)
    for folder, listed in folders.items():
        yield _named(str(ObjectUri(uri.bucket, folder)), tuple(listed))


def _is_lines(stored: StoredObject) -> bool:
    return stored.uri.name.endswith(_LINES)


def _named(name: str, place: Path | tuple[StoredObject, ...]) -> Output:
    found: Mapping[str, str] | re.Match[str] = _FOLDER.fullmatch(f"{name}/") or {}
    return Output(name, place, *((found["run"], found["attempt"]) if found else (None, None)))


def _table(address: str) -> Output:
    name = TableName.parse(address)
    if not name.table:
        message = f"{address}: name the table that holds the answers"
        raise SetupError(message)
    found = _TABLE.fullmatch(name.table)
    named = (f"{found[1]}-{found[2]}", f"{found[3]}-{found[4]}") if found else (None, None)
    return Output(address, name, *named)
