"""The commands about runs: run, build, submit, wait, collect, status."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.emulate import emulated_client
from batchkit.cli.options import (
    SECONDS,
    build_options,
    json_option,
    limits_of,
    poll_option,
    settle_option,
    spec_of,
    target_option,
)
from batchkit.cli.outcome import ExitCode, code_of, examples, finish, print_json
from batchkit.cli.output import check_output, show_sql, tell, tell_results, to_option
from batchkit.cli.places import Place, table_argument
from batchkit.cli.retry import retries_option

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchkit.warehouse import IfExists

__all__ = ["build", "collect", "run", "status", "submit", "wait"]

_JOURNEY_FIELDS = {
    "run": "the run directory",
    "rows": "rows of the table",
    "statuses": "rows by status; they add up to `rows`",
    "results": "the file or folder with the result",
}


_run = click.argument("run", type=Place(file_okay=False))


@click.command(
    short_help="Build, submit, wait and collect; it can be stopped and repeated.",
    epilog=examples(
        """\
batchkit run reviews.csv --key review_id --model gemini-3.8-flash \\
    --prompt 'Summarise for a shop owner: {text}' --into runs/reviews
batchkit run docs.parquet --key id --model gemini-embedding-001 \\
    --embed '{text}' --to vectors.parquet --emulator
batchkit run requests.jsonl --model gemini-3.8-flash
""",
        **_JOURNEY_FIELDS,
    ),
)
@table_argument
@build_options
@to_option
@click.option("--emulator", is_flag=True, help="Use an emulator on this machine, not Google.")
@settle_option
@poll_option
@retries_option
@json_option
def run(
    *,
    table: str,
    to: str | None,
    if_exists: IfExists,
    emulator: bool,
    poll_seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Build, submit, wait and collect; stopped and given again, it goes on.

    TABLE is a Parquet file, folder or pattern, a .csv or a .jsonl of rows, also at gs://…, or
    bq://project.dataset.table. Without --prompt and --embed it is a ready request file. The
    emulator keeps its state in `.emulator` beside the run directory, so that a run that was stopped
    finds its jobs.
    """
    check_output(to, if_exists, into=options["into"])
    spec, model = spec_of(table, options)
    settle_seconds, escapes = options.pop("settle_seconds"), options.pop("escape_formulas")
    with (
        _going_on(is_emulated=emulator),
        emulated_client(options["into"], is_emulated=emulator) as client,
    ):
        results = bk.run(
            table,
            spec,
            model=model,
            client=client,
            settle_seconds=0.0 if emulator else settle_seconds,  # its list does not lag
            poll_seconds=poll_seconds,
            **_choices(options),
        )
        tell_results(results, to, if_exists, escape_formulas=escapes, as_json=as_json)


@click.command(
    short_help="Turn a table into request files; nothing is sent.",
    epilog=examples(
        """\
batchkit build reviews.parquet --key id --model gemini-3.8-flash \\
    --prompt @prompt.txt --into runs/reviews
batchkit build bq://my-project.shop.reviews --key id --model gemini-3.8-flash \\
    --prompt 'Judge: {text}' --target bq://my-project.work --pushdown --dry-run
""",
        run="the run directory",
        rows="rows of the table",
        requests="rows that became requests",
        rejected="rows that could not",
        shards="request files, each of which is to be a job",
        bytes="of all request files",
        target="how the requests are to travel",
    ),
)
@table_argument
@build_options
@click.option("--dry-run", is_flag=True, help="Show the SQL of --pushdown; make nothing.")
@json_option
def build(*, table: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Turn a table into request files in a run directory; nothing is sent.

    TABLE is as in `batchkit run`. Exit code 3 when rows could not become requests.
    """
    spec, model = spec_of(table, options)
    if dry_run:
        show_sql(table, spec, options, as_json=as_json)
    with _going_on():
        built = bk.build(table, spec, model=model, **_choices(options))
    shards = built.shards
    facts = {
        "run": str(built.folder),
        "rows": shards.rows,
        "requests": shards.requests,
        "rejected": shards.rejected,
        "shards": len(shards.shards),
        "bytes": sum(shard.bytes for shard in shards.shards),
        "target": shards.target,
    }
    tell(facts, as_json=as_json)
    finish(ExitCode.NOT_ALL_OK if shards.rejected else ExitCode.DONE)


@click.command(
    short_help="Create the jobs of RUN; safe to repeat.",
    epilog=examples(
        "batchkit submit runs/reviews",
        run="the run directory",
        jobs="shards that have a job now",
        shards="shards with requests",
        held="why the others have none yet, or null",
    ),
)
@_run
@target_option
@settle_option
@json_option
def submit(*, run: str, target: str | None, settle_seconds: float, as_json: bool) -> None:
    """Create a job for each shard of RUN that has none; safe to repeat.

    Exit code 4 when the service takes no more jobs now: submit again as jobs end.
    """
    with _going_on():
        done = bk.submit(run, target=target, settle_seconds=settle_seconds)
    tell({"run": run, "jobs": done.sent, "shards": done.total, "held": done.held}, as_json=as_json)
    finish(ExitCode.DONE if done.is_complete else ExitCode.NOT_DONE)


@click.command(
    short_help="Wait until the jobs of RUN have ended; fetch their outputs.",
    epilog=examples(
        "batchkit wait runs/reviews\nbatchkit wait runs/reviews --timeout 600",
        run="the run directory",
        stages="shards by stage: unsent, sending, running, ended, fetched",
    ),
)
@_run
@poll_option
@click.option("--timeout", type=SECONDS, help="Without it, as long as it takes.")
@json_option
def wait(*, run: str, poll_seconds: float, timeout: float | None, as_json: bool) -> None:
    """Wait until all jobs of RUN have ended, and fetch their outputs.

    Ctrl-C stops waiting, not the jobs. Exit code 4 when the time is over.
    """
    timed_out = False
    try:
        bk.wait(run, poll_seconds=poll_seconds, timeout=timeout)
    except bk.errors.WaitTimeoutError as error:
        click.echo(str(error), err=True)
        timed_out = True
    stages = _stages(bk.open_run(run))
    if as_json:
        print_json({"run": run, "stages": stages})
    unsent = stages["unsent"] + stages["sending"]
    if unsent:
        shards = f"{unsent} shard has" if unsent == 1 else f"{unsent} shards have"
        click.echo(f"{shards} no job yet: batchkit submit {run}", err=True)
    finish(ExitCode.NOT_DONE if timed_out or unsent else ExitCode.DONE)


@click.command(
    short_help="Join the responses of RUN onto its rows; write the result.",
    epilog=examples("batchkit collect runs/reviews --to reviews.parquet", **_JOURNEY_FIELDS),
)
@_run
@to_option
@click.option("--carried", is_flag=True, help="Only columns that travelled with the run.")
@json_option
def collect(
    *, run: str, to: str | None, if_exists: IfExists, carried: bool, as_json: bool, **options: bool
) -> None:
    """Join all responses of RUN onto its rows and write the result.

    Exit code 4 while rows are pending, 3 when some are not ok.
    """
    check_output(to, if_exists, into=run)
    with _going_on():
        results = bk.collect(run, source="carried" if carried else "table")
        tell_results(results, to, if_exists, **options, as_json=as_json)


@click.command(
    epilog=examples(
        "batchkit status runs/reviews",
        run="the run directory",
        is_built="whether all requests are there; without them nothing else is known",
        rows="rows of the table",
        statuses="rows by status; they add up to `rows`",
        stages="shards by stage: unsent, sending, running, ended, fetched",
    )
)
@_run
@json_option
def status(*, run: str, as_json: bool) -> None:
    """Show what RUN has come to, from its directory alone.

    Exit codes as of `batchkit collect`.
    """
    opened = bk.open_run(run)
    if not opened.is_built:
        facts = {"run": run, "is_built": False}
        tell(facts if as_json else {"run": run, "state": "not built to the end"}, as_json=as_json)
        finish(ExitCode.NOT_DONE)
    stages = _stages(opened)
    statuses = opened.tally()
    if as_json:
        rows = {"rows": opened.shards.rows, "statuses": statuses, "stages": stages}
        print_json({"run": run, "is_built": True, **rows})
    else:
        from batchkit.display.summary import print_tally  # noqa: PLC0415  # rich takes time to load

        shards = ", ".join(f"{count} {stage}" for stage, count in stages.items())
        print_tally(statuses, {"shards": shards or "none", "run": run})
    finish(code_of(opened))


def _stages(run: bk.Run) -> Counter[str]:
    return Counter(attempt.stage for attempt in run.attempts())


def _choices(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `build` that are not part of the spec, as the library takes them."""
    limits = limits_of(options.pop("limit"))
    key, carry = options.pop("key"), options.pop("carry")
    return {**options, "key": key or None, "carry": carry or None, "limits": limits}


@contextlib.contextmanager
def _going_on(*, is_emulated: bool = False) -> Generator[None]:
    """Say, when a command is stopped, that it can go on."""
    try:
        yield
    except KeyboardInterrupt:
        what = "stopped, and the emulator with it" if is_emulated else "stopped"
        click.echo(f"{what}; the same command goes on from here", err=True)
        raise
