"""The command that builds a lost run again: salvage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.options import build_options, json_option, limits_of, spec_of
from batchkit.cli.outcome import examples
from batchkit.cli.output import tell
from batchkit.cli.places import table_argument

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["salvage"]

_from: Callable[..., Any] = click.option(
    "--from",
    "answers",
    multiple=True,
    required=True,
    metavar="ANSWERS",
    help="Job name, beginning of display names, gs:// folder, bq:// table, or file. May be "
    "repeated.",
)


@click.command(
    short_help="Build a lost run again from what is left; nothing is sent.",
    epilog=examples(
        """\
batchkit salvage reviews.csv --from batches/abc123 --key review_id \\
    --model gemini-3.8-flash --prompt 'Summarise: {text}' --into runs/again
batchkit salvage reviews.csv --from gs://bucket/folder --target gs://bucket/folder \\
    --key review_id --model gemini-3.8-flash --prompt 'Summarise: {text}'
""",
        run="the run directory",
        rows="rows of the table",
        jobs="shards whose jobs were taken over",
        answered="shards whose answers were read",
        stages="shards by stage: unsent, sending, running, ended, fetched",
    ),
)
@table_argument
@_from
@build_options
@json_option
def salvage(*, table: str, answers: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Build a run again whose directory was lost, from TABLE and what is left of it.

    The options are those the run was built with: its requests must be the same. One job, or one
    folder, is enough to find all jobs of the run. Go on with `batchkit wait`, `batchkit collect`.
    """
    spec, model = spec_of(table, options)
    limits = limits_of(options.pop("limit"))
    key, carry = options.pop("key") or None, options.pop("carry") or None
    given: dict[str, Any] = {
        **options,
        "key": key,
        "carry": carry,
        "limits": limits,
        "model": model,
    }
    run = bk.salvage(table, spec, answers, **given)
    stages = Counter(attempt.stage for attempt in run.attempts())
    fetched = [attempt.last("fetched") for attempt in run.attempts()]
    facts = {
        "run": str(run.folder),
        "rows": run.shards.rows,
        "jobs": sum(attempt.job is not None for attempt in run.attempts()),
        "answered": sum(
            fact is not None and bool(fact.content.get("salvaged")) for fact in fetched
        ),
        "stages": stages if as_json else ", ".join(f"{n} {stage}" for stage, n in stages.items()),
    }
    tell(facts, as_json=as_json)
