"""The commands that drive jobs and files of the account themselves."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.options import json_option
from batchkit.cli.outcome import ExitCode, examples, finish, print_json
from batchkit.cli.output import print_file, tell
from batchkit.cli.places import Place

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Generator, Iterable

__all__ = ["files", "jobs"]

_PATIENCE_SECONDS = 20.0

_most = click.option(
    "--most",
    type=click.IntRange(min=1),
    metavar="N",
    default=50,
    show_default=True,
    help="How many to list.",
)
_job_name = click.argument("name", metavar="JOB")
_file_name = click.argument("name", metavar="FILE")
_rows_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")

_JOB_FIELDS = {
    "name": "batches/…",
    "state": "queued, pending, running, succeeded, failed, …",
    "model": "models/…",
    "completion_stats": "null, or total_count, success_count, failure_count",
    "create_time": "in ISO 8601",
    "end_time": "the same, null while it runs",
    "display_name": "the name that its maker gave it",
    "error": "null, or code, reason, message",
}
_FILE_FIELDS = {
    "name": "files/…",
    "state": "ACTIVE when it can be used",
    "bytes": "its size",
    "mime_type": "such as application/jsonl",
    "create_time": "in ISO 8601",
    "expiration_time": "the same",
    "display_name": "the name that its maker gave it",
}


def _client() -> bk.Gemini:
    """The environment's account; who looks on does not want to wait two minutes for an error."""
    return bk.Gemini(retries=bk.Retries(total_seconds=_PATIENCE_SECONDS))


@click.group()
def jobs() -> None:
    """Jobs of the account: list, get, cancel, delete, responses."""


@jobs.command("list", epilog=examples("batchkit jobs list --most 10", **_JOB_FIELDS))
@_most
@_rows_option
def list_jobs(*, most: int, as_json: bool) -> None:
    """List jobs, newest first as far as the service keeps to that."""
    said = _job_json if as_json else _job_row
    _print(map(said, islice(_client().batches.list_all(), most)), as_json=as_json)


@jobs.command("get", epilog=examples("batchkit jobs get batches/abc123", **_JOB_FIELDS))
@_job_name
@json_option
def get_job(*, name: str, as_json: bool) -> None:
    """Show one job; exit code 4 while it runs, 3 when it ended badly."""
    job = _client().batches.get(name)
    tell(_job_json(job) if as_json else _job_row(job), as_json=as_json)
    if not job.is_complete:
        finish(ExitCode.NOT_DONE)
    if not job.succeeded:
        finish(ExitCode.NOT_ALL_OK)


@jobs.command("cancel", epilog=examples("batchkit jobs cancel batches/abc123"))
@_job_name
def cancel_job(*, name: str) -> None:
    """Ask for a job to stop; what is processed is paid for."""
    _client().batches.cancel(name)
    click.echo(f"asked {name} to stop")


@jobs.command("delete", epilog=examples("batchkit jobs delete batches/abc123"))
@_job_name
def delete_job(*, name: str) -> None:
    """Delete a job; one that runs is stopped."""
    _client().batches.delete(name)
    click.echo(f"deleted {name}")


@jobs.command(
    "responses",
    epilog=examples("batchkit jobs responses batches/abc123 | jq -r .response"),
)
@_job_name
def job_responses(*, name: str) -> None:
    """Print the responses of a job that has ended, a JSON object per line.

    Exit code 4 while it runs. The fields are key, status, response or embedding, error_code and
    error_message; those that a response lacks are left out.
    """
    for response in _client().batches.get_responses(name):
        said = {
            "key": response.key,
            "status": response.status,
            "response": response.text,
            "embedding": response.embedding,
            "error_code": response.error_code,
            "error_message": response.error_message,
        }
        print_json({name: value for name, value in said.items() if value is not None})


@click.group()
def files() -> None:
    """Files of the account: list, get, upload, download, delete."""


@files.command("list", epilog=examples("batchkit files list --json", **_FILE_FIELDS))
@_most
@_rows_option
def list_files(*, most: int, as_json: bool) -> None:
    """List uploaded files and job outputs; they live 48 hours."""
    said = _file_json if as_json else _file_row
    _print(map(said, islice(_client().files.list_all(), most)), as_json=as_json)


@files.command("get", epilog=examples("batchkit files get files/abc123", **_FILE_FIELDS))
@_file_name
@json_option
def get_file(*, name: str, as_json: bool) -> None:
    """Show one uploaded file."""
    _tell_file(_client().files.get(name), as_json=as_json)


@files.command(
    "upload",
    epilog=examples("batchkit files upload requests.jsonl --display-name mine", **_FILE_FIELDS),
)
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option("--display-name", help="A name for people, up to 512 characters.")
@json_option
def upload_file(*, path: str, display_name: str | None, as_json: bool) -> None:
    """Upload a file in chunks; a cut connection is taken up again."""
    with _transfer(path, is_upload=True) as progress:
        file = _client().files.upload(path, display_name=display_name, on_progress=progress)
    _tell_file(file, as_json=as_json)


@files.command(
    "download",
    epilog=examples(
        """\
batchkit files download files/abc123 responses.jsonl
batchkit files download files/abc123 - | wc -l
"""
    ),
)
@_file_name
@click.argument("to", type=Place(dir_okay=False, allow_dash=True))
def download_file(*, name: str, to: str) -> None:
    """Stream the output file of a job to disk, or to standard output when TO is `-`."""
    with tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
        path = Path(folder) / "file" if to == "-" else Path(to)
        with _transfer(name, is_upload=False) as progress:
            _client().files.download(name, path, on_progress=progress)
        if to == "-":
            print_file(path)
        else:
            click.echo(path)


@files.command("delete", epilog=examples("batchkit files delete files/abc123"))
@_file_name
def delete_file(*, name: str) -> None:
    """Delete a file."""
    _client().files.delete(name)
    click.echo(f"deleted {name}")


@contextlib.contextmanager
def _transfer(name: str, *, is_upload: bool) -> Generator[Callable[[int, int | None], None]]:
    """What a transfer tells its bytes to, which a terminal shows as a bar."""
    from batchkit.display.live import shown  # noqa: PLC0415  # rich takes time to load
    from batchkit.events import Transferred  # noqa: PLC0415

    with shown(None) as show:
        yield lambda done, total: show(Transferred(name, done, total, is_upload=is_upload))


def _job_json(job: bk.BatchJob) -> dict[str, Any]:
    stats, error = job.completion_stats, job.error
    return {
        "name": job.name,
        "state": str(job.state),
        "model": job.model,
        "completion_stats": stats and asdict(stats),
        "create_time": job.create_time,
        "end_time": job.end_time,
        "display_name": job.display_name,
        "error": error and {"code": error.code, "reason": error.reason, "message": error.message},
    }


def _job_row(job: bk.BatchJob) -> dict[str, Any]:
    """A job for people: what is long comes last."""
    stats = job.completion_stats
    return {
        "name": job.name,
        "state": str(job.state),
        "done": f"{stats.done_count:,}/{stats.total_count:,}" if stats else None,
        "failed": stats.failure_count or None if stats else None,
        "created": _said_time(job.create_time),
        "ended": _said_time(job.end_time),
        "model": job.model and job.model.removeprefix("models/"),
        "error": str(job.error) if job.error else None,
        "display_name": job.display_name,
    }


def _file_json(file: bk.File) -> dict[str, Any]:
    return {
        "name": file.name,
        "state": file.state,
        "bytes": file.bytes,
        "mime_type": file.mime_type,
        "create_time": file.create_time,
        "expiration_time": file.expiration_time,
        "display_name": file.display_name,
    }


def _file_row(file: bk.File) -> dict[str, Any]:
    return {
        "name": file.name,
        "state": file.state,
        "bytes": file.bytes,
        "created": _said_time(file.create_time),
        "expires": _said_time(file.expiration_time),
        "mime_type": file.mime_type,
        "display_name": file.display_name,
    }


def _tell_file(file: bk.File, *, as_json: bool) -> None:
    tell(_file_json(file) if as_json else _file_row(file), as_json=as_json)


def _said_time(time: dt.datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M:%SZ}" if time else None


def _print(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """A line of JSON each, or a table."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    from batchkit.display.summary import print_rows  # noqa: PLC0415  # rich takes time to load

    print_rows(list(rows))
