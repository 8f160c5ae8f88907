"""The commands about runs: run, build, submit, wait, collect, status."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.options import build_options, json_option, limits_of, spec_of
from batchkit.cli.outcome import ExitCode, code_for, examples, finish, print_json

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["build", "collect", "run", "status", "submit", "wait"]

_to = click.option("--to", help="Where results go: .parquet, .csv, .jsonl, or a folder.")
_run = click.argument("run")


@click.command(
    epilog=examples("""\
batchkit run reviews.csv --key review_id --model gemini-3.8-flash \\
    --prompt 'Summarise for a shop owner: {text}' --into runs/reviews
batchkit run docs.parquet --key id --model gemini-embedding-001 \\
    --embed '{text}' --to vectors.parquet --emulator
batchkit run requests.jsonl --model gemini-3.8-flash
""")
)
@click.argument("table")
@build_options
@_to
@click.option("--emulator", is_flag=True, help="Use an emulator on this machine, not Google.")
@click.option("--poll-seconds", default=30.0, show_default=True, help="Longest time between looks.")
@json_option
def run(
    *,
    table: str,
    to: str | None,
    emulator: bool,
    poll_seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Build, submit, wait and collect; stopped and given again, it goes on.

    TABLE is a Parquet file, folder or pattern, a .csv or a .jsonl of rows. Without --prompt and
    --embed it is a ready request file.
    """
    spec, model = spec_of(options)
    with _client(options["into"], emulated=emulator) as client:
        results = bk.run(
            table, spec, model=model, client=client, poll_seconds=poll_seconds, **_choices(options)
        )
        _tell_results(results, to, as_json=as_json)


@click.command(
    epilog=examples("""\
batchkit build reviews.parquet --key id --model gemini-3.8-flash \\
    --prompt @prompt.txt --into runs/reviews
""")
)
@click.argument("table")
@build_options
@json_option
def build(*, table: str, as_json: bool, **options: Any) -> None:
    """Turn a table into request files in a run directory; nothing is sent."""
    spec, model = spec_of(options)
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
    _tell(facts, as_json=as_json)


@click.command(
    epilog=examples("""\
batchkit submit runs/reviews
""")
)
@_run
@click.option("--target", type=click.Choice(["inline", "file"]), help="Instead of the run's own.")
@click.option("--settle-seconds", default=60.0, show_default=True, help="How long lists may lag.")
@json_option
def submit(*, run: str, target: str | None, settle_seconds: float, as_json: bool) -> None:
    """Create a job for each shard of RUN that has none; safe to repeat.

    Exit code 4 when the service takes no more jobs now: submit again as jobs end.
    """
    done = bk.submit(run, target=target, settle_seconds=settle_seconds)
    _tell({"run": run, "jobs": done.sent, "shards": done.total}, as_json=as_json)
    finish(ExitCode.DONE if done.is_complete else ExitCode.NOT_DONE)


@click.command(
    epilog=examples("""\
batchkit wait runs/reviews
""")
)
@_run
@click.option("--poll-seconds", default=30.0, show_default=True, help="Longest time between looks.")
@click.option("--timeout", type=float, help="Seconds; without it, as long as it takes.")
def wait(*, run: str, poll_seconds: float, timeout: float | None) -> None:
    """Wait until all jobs of RUN have ended, and fetch their outputs.

    Ctrl-C stops waiting, not the jobs. Exit code 4 when the time is over.
    """
    try:
        waited = bk.wait(run, poll_seconds=poll_seconds, timeout=timeout)
    except bk.errors.WaitTimeoutError as error:
        click.echo(str(error), err=True)
        finish(ExitCode.NOT_DONE)
    unsent = sum(1 for attempt in waited.attempts() if attempt.stage in {"unsent", "sending"})
    if unsent:
        click.echo(f"{unsent} shards have no job yet: batchkit submit {run}", err=True)
        finish(ExitCode.NOT_DONE)


@click.command(
    epilog=examples("""\
batchkit collect runs/reviews --to reviews.parquet
""")
)
@_run
@_to
@click.option("--carried", is_flag=True, help="Only columns that travelled with the run.")
@json_option
def collect(*, run: str, to: str | None, carried: bool, as_json: bool) -> None:
    """Join all responses of RUN onto its rows and write the result.

    Exit code 4 while rows are pending, 3 when some are not ok.
    """
    results = bk.collect(run, source="carried" if carried else "table")
    _tell_results(results, to, as_json=as_json)


@click.command(
    epilog=examples("""\
batchkit status runs/reviews
""")
)
@_run
@json_option
def status(*, run: str, as_json: bool) -> None:
    """Show what RUN has come to, from its directory alone."""
    opened = bk.open_run(run)
    if not opened.is_built:
        _tell({"run": run, "state": "not built to the end"}, as_json=as_json)
        finish(ExitCode.NOT_DONE)
    stages = Counter(attempt.stage for attempt in opened.attempts())
    statuses = opened.tally()
    if as_json:
        print_json({"run": run, "shards": dict(stages), "statuses": statuses})
    else:
        from batchkit.display.summary import print_tally  # noqa: PLC0415  # rich takes time to load

        shards = ", ".join(f"{count} {stage}" for stage, count in stages.items())
        print_tally(statuses, {"shards": shards or "none", "run": run})
    finish(code_for(statuses))


def _choices(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `build` that are not part of the spec, as the library takes them."""
    return {
        "key": options["key"] or None,
        "into": options["into"],
        "target": options["target"],
        "carry": options["carry"] or None,
        "on_bad_key": "reject" if options["reject_bad_keys"] else "raise",
        "limits": limits_of(options["limit"]),
        "prefix": options["prefix"],
        "provenance": options["provenance"],
        "raw": options["raw"],
    }


@contextlib.contextmanager
def _client(into: str | None, *, emulated: bool) -> Generator[bk.Gemini | None]:
    """None for the environment's account, or a client of an emulator that lives for the command.

    The emulator's state stays beside the run, so that a run that was stopped finds its jobs.
    """
    if not emulated:
        yield None
        return
    state = Path(into).parent / ".emulator" if into else Path("runs") / ".emulator"
    with bk.emulator.serve(folder=state, pending_seconds=0.5, job_seconds=2.0) as serving:
        yield bk.Gemini(serving.api_key, base_url=serving.url)


def _tell(facts: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name}  {value:,}" if isinstance(value, int) else f"{name}  {value}")


def _tell_results(results: bk.Results, to: str | None, *, as_json: bool) -> None:
    """Write the result, say where it is and what became of the rows, and end the command."""
    path = _write(results, to)
    statuses = results.tally()
    run = str(results.run.folder)
    if as_json:
        print_json({"run": run, "rows": len(results), "statuses": statuses, "results": str(path)})
    else:
        from batchkit.display.summary import print_tally  # noqa: PLC0415  # rich takes time to load

        print_tally(statuses, {"run": run, "results": path})
    finish(code_for(statuses))


def _write(results: bk.Results, to: str | None) -> Path:
    if to is None:
        return results.to_parquet()
    if to.endswith(".csv"):
        return results.to_csv(to)
    if to.endswith((".jsonl", ".ndjson")):
        return results.to_jsonl(to)
    return results.to_parquet(to)
