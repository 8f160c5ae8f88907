"""The commands that drive jobs and files of the account themselves."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.outcome import ExitCode, finish, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["files", "jobs"]

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
_most = click.option("--most", default=50, show_default=True, help="How many to list.")


@click.group()
def jobs() -> None:
    """Jobs of the account: list, get, cancel, delete, responses."""


@jobs.command("list")
@_most
@_json
def list_jobs(*, most: int, as_json: bool) -> None:
    """List jobs, newest first as far as the service keeps to that."""
    _print((_job(job) for job in islice(bk.Batches().list_all(), most)), as_json=as_json)


@jobs.command("get")
@click.argument("name")
@_json
def get_job(*, name: str, as_json: bool) -> None:
    """Show one job; exit code 4 while it runs, 3 when it ended badly."""
    job = bk.Batches().get(name)
    _print([_job(job)], as_json=as_json)
    if not job.is_complete:
        finish(ExitCode.NOT_DONE)
    if not job.succeeded:
        finish(ExitCode.NOT_ALL_OK)


@jobs.command("cancel")
@click.argument("name")
def cancel_job(*, name: str) -> None:
    """Ask for a job to stop; what is processed is paid for."""
    bk.Batches().cancel(name)
    click.echo(f"asked {name} to stop")


@jobs.command("delete")
@click.argument("name")
def delete_job(*, name: str) -> None:
    """Delete a job; one that runs is stopped."""
    bk.Batches().delete(name)
    click.echo(f"deleted {name}")


@jobs.command("responses")
@click.argument("name")
def job_responses(*, name: str) -> None:
    """Print the responses of a job that has ended, as JSON lines."""
    for response in bk.Batches().get_responses(name):
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


@files.command("list")
@_most
@_json
def list_files(*, most: int, as_json: bool) -> None:
    """List uploaded files and job outputs; they live 48 hours."""
    _print((_file(file) for file in islice(bk.Files().list_all(), most)), as_json=as_json)


@files.command("get")
@click.argument("name")
@_json
def get_file(*, name: str, as_json: bool) -> None:
    """Show one uploaded file."""
    _print([_file(bk.Files().get(name))], as_json=as_json)


@files.command("upload")
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option("--display-name", help="A name for people, up to 512 characters.")
@_json
def upload_file(*, path: str, display_name: str | None, as_json: bool) -> None:
    """Upload a file in chunks; a cut connection is taken up again."""
    with click.progressbar(length=max(1, Path(path).stat().st_size), file=sys.stderr) as bar:
        file = bk.Files().upload(
            path,
            display_name=display_name,
            on_progress=lambda sent, _: bar.update(sent - bar.pos),
        )
    _print([_file(file)], as_json=as_json)


@files.command("download")
@click.argument("name")
@click.argument("to", type=click.Path(dir_okay=False))
def download_file(*, name: str, to: str) -> None:
    """Stream the output file of a job to disk."""
    click.echo(bk.Files().download(name, to))


@files.command("delete")
@click.argument("name")
def delete_file(*, name: str) -> None:
    """Delete a file."""
    bk.Files().delete(name)
    click.echo(f"deleted {name}")


def _job(job: bk.BatchJob) -> dict[str, Any]:
    stats = job.completion_stats
    return {
        "name": job.name,
        "state": str(job.state),
        "done": f"{stats.done_count}/{stats.total_count}" if stats else None,
        "model": job.model,
        "created": job.create_time,
        "ended": job.end_time,
        "display_name": job.display_name,
        "error": str(job.error) if job.error else None,
    }


def _file(file: bk.File) -> dict[str, Any]:
    return {
        "name": file.name,
        "state": file.state,
        "bytes": file.bytes,
        "mime_type": file.mime_type,
        "expires": file.expiration_time,
        "display_name": file.display_name,
    }


def _print(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """A line of JSON each, or a table."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    from batchkit.display.summary import print_rows  # noqa: PLC0415  # rich takes time to load

    print_rows(list(rows))
