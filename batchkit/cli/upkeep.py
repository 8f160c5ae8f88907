"""The commands that undo what a run has at the service: cancel, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.options import Place, json_option
from batchkit.cli.outcome import ExitCode, examples, finish, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchkit.belongings import Belonging

__all__ = ["cancel", "clean"]

_run = click.argument("run", type=Place(file_okay=False))


def _yes(what: str) -> Callable[..., Any]:
    return click.option("--yes", is_flag=True, help=f"Do it; without it {what} are listed only.")


@click.command(
    short_help="Ask the jobs of RUN to stop; a dry run without --yes.",
    epilog=examples(
        "batchkit cancel runs/reviews\nbatchkit cancel runs/reviews --yes",
        run="the run directory",
        dry_run="whether nothing was done",
        jobs="those that were asked to stop, or would be",
        unsent="shards that have no job",
    ),
)
@_run
@_yes("jobs")
@json_option
def cancel(*, run: str, yes: bool, as_json: bool) -> None:
    """Ask the jobs of RUN that have not ended to stop.

    What they have done is paid for: wait for their end and collect it. Rows without an answer are
    `missing` then.
    """
    done = bk.cancel(run, dry_run=not yes)
    if as_json:
        names = [job.name for job in done.jobs]
        print_json({"run": run, "dry_run": done.dry_run, "jobs": names, "unsent": done.unsent})
    elif done.jobs:
        _print([{"name": job.name, "state": str(job.state)} for job in done.jobs])


@click.command(
    short_help="Delete what RUN has at the service; a dry run without --yes.",
    epilog=examples(
        "batchkit clean runs/reviews\nbatchkit clean runs/reviews --yes --jobs",
        run="the run directory",
        dry_run="whether nothing was done",
        bytes="of all that was deleted, or would be, as far as they are known",
        deleted="what was deleted, or would be: kind, name, bytes, rows",
        kept="what stays: the same, and why in `kept`",
    ),
)
@_run
@_yes("things")
@click.option("--unfetched", is_flag=True, help="Also what is not fetched yet: answers are lost.")
@click.option("--jobs", is_flag=True, help="Also the jobs themselves.")
@json_option
def clean(*, run: str, yes: bool, unfetched: bool, jobs: bool, as_json: bool) -> None:
    """Delete what RUN has made at the service: its files, objects, tables, not its results.

    The run directory stays as it is. Exit code 4 while something stays because it is not fetched
    yet, or its result not written.
    """
    done = bk.clean(run, dry_run=not yes, unfetched=unfetched, jobs=jobs)
    stay = (*done.kept, *done.refused)
    if as_json:
        deleted = [_described(thing) for thing in done.things]
        kept = [_described(thing) | {"kept": thing.kept} for thing in stay]
        facts = {"run": run, "dry_run": done.dry_run, "bytes": done.bytes}
        print_json({**facts, "deleted": deleted, "kept": kept})
    else:
        _print_things(done.things, stay)
    finish(ExitCode.NOT_DONE if done.kept else ExitCode.DONE)


def _described(thing: Belonging) -> dict[str, Any]:
    return {"kind": thing.kind, "name": thing.name, "bytes": thing.bytes, "rows": thing.rows}


def _print_things(things: Sequence[Belonging], kept: Sequence[Belonging]) -> None:
    rows = [_described(thing) | {"kept": thing.kept} for thing in (*things, *kept)]
    if rows:
        _print(rows)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from batchkit.display.summary import print_rows  # noqa: PLC0415  # rich takes time to load

    print_rows(rows)
