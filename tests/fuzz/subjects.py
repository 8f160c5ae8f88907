"""What is fuzzed: readers of files that others wrote, and the files that they are meant to read."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import serve
from batchkit.service.job_json import read_job, read_job_list
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SUBJECTS", "seeds_of"]

_SAMPLES = Path(__file__).parent.parent / "samples"
_SCHEMA = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}, "of": {"type": "STRING"}}}
_SPEC = bk.generate("gemini-3.8-flash", "{text}", schema=_SCHEMA)
# The files of a run that are read again; each is damaged in a copy of the run.
_FILES = (
    "run.json",
    "shards.json",
    "ledger/00000-1/01-intent.json",
    "ledger/00000-1/02-uploaded.json",
    "ledger/00000-1/03-created.json",
    "ledger/00000-1/04-ended.json",
    "ledger/00000-1/05-fetched.json",
    "rows/00000.parquet",
    "requests/00000.jsonl",
    "responses/00000-1.jsonl",
    "outcomes/00000-0.parquet",
    "outcomes/00000-1.parquet",
    "outcomes/00000-1.json",
    "table.arrow",
    "audit.json",
)


def _read_responses(content: bytes, folder: Path) -> None:
    path = folder / "responses.jsonl"
    path.write_bytes(content)
    table = bk.read_responses(path)
    table.validate(full=True)
    assert table.num_rows == len([line for line in content.split(b"\n") if line.strip(b" \t\r")])


def _decode_with_body(content: bytes, _: Path) -> None:
    for line in content.split(b"\n"):
        decode_line(line, keep_body=True)


def _read_job(content: bytes, _: Path) -> None:
    """What a service says of a job; JSON that is no object is refused before it gets here."""
    try:
        value = jsonl.loads(content)
    except ValueError:
        return
    if jsonl.is_object(value):
        job = read_job(value)
        _ = repr(job), job.progress, job.is_complete
        _ = repr(read_job_list({"operations": [value], **value}))


def _check(content: bytes, folder: Path) -> None:
    path = folder / "requests.jsonl"
    path.write_bytes(content)
    _ = str(bk.check(path))


def run_of(folder: Path) -> Path:
    """A run that was collected, with a row that was rejected."""
    run = folder / "whole"
    if not run.exists():
        table = [{"id": f"r{i}", "text": None if i == 1 else f"text {i}"} for i in range(5)]
        with serve() as emulator:
            client = bk.Gemini(emulator.api_key, base_url=emulator.url)
            options = {"key": "id", "target": "file", "provenance": True, "raw": True}
            bk.run(table, _SPEC, into=run, client=client, progress=_silent, **options)
    return run


def _silent(_: object) -> None:
    """Nobody watches."""


def _read_run(name: str, content: bytes, folder: Path) -> None:
    """Everything that is done with a run that needs no service, with one of its files damaged."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(run_of(folder), run)
    (run / name).write_bytes(content)
    opened = bk.open_run(run)
    _ = opened.tally(), opened.attempts(), opened._repr_html_()  # a notebook does
    if name.startswith(("responses", "rows", "requests")):
        shutil.rmtree(run / "outcomes")
        fact = run / "ledger" / "00000-1" / "05-fetched.json"
        if name.startswith("responses"):
            fact.write_bytes(jsonl.dumps({**jsonl.loads(fact.read_bytes()), "bytes": len(content)}))
    results = bk.collect(run, progress=_silent)
    table = results.to_arrow()
    table.validate(full=True)
    assert table.num_rows == len(results)
    _ = results.to_pandas(), results._repr_html_()  # as above


SUBJECTS: dict[str, Callable[[bytes, Path], Any]] = {
    "read_responses": _read_responses,
    "decode_line": _decode_with_body,
    "job": _read_job,
    "check": _check,
    **{f"run/{name}": functools.partial(_read_run, name) for name in _FILES},
}
_JOBS: tuple[Any, ...] = (
    {
        "name": "batches/a",
        "metadata": {
            "state": "BATCH_STATE_SUCCEEDED",
            "displayName": "d",
            "model": "models/m",
            "batchStats": {"requestCount": "2", "failedRequestCount": "1"},
            "createTime": "2026-01-01T00:00:00.123456789Z",
            "output": {"responsesFile": "files/x"},
        },
        "done": True,
        "response": {"inlinedResponses": {"inlinedResponses": [{"response": {}}]}},
    },
    {
        "name": "projects/p/locations/l/batchPredictionJobs/1",
        "state": "JOB_STATE_FAILED",
        "error": {"code": 3, "message": "no", "details": [{"a": 1}]},
        "labels": {"a": "b"},
        "inputConfig": {"gcsSource": {"uris": ["gs://b/o"]}},
        "outputInfo": {"gcsOutputDirectory": "gs://b/d"},
        "completionStats": {"successfulCount": "1", "incompleteCount": "-1"},
        "partialFailures": [{"code": 5, "message": "x"}],
    },
)


def seeds_of(subject: str, folder: Path) -> list[bytes]:
    """What a subject reads as it should be."""
    if subject == "job":
        return [jsonl.dumps(job) for job in _JOBS]
    if subject.startswith("run/"):
        return [(run_of(folder) / subject.removeprefix("run/")).read_bytes()]
    return [path.read_bytes() for path in sorted(_SAMPLES.rglob("*.jsonl"))]
