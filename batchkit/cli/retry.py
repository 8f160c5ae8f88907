"""The command that has rows asked again, and the option that does so on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit.cli.options import SECONDS, json_option, limits_of
from batchkit.cli.outcome import code_for, examples, finish, print_json
from batchkit.cli.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["deadline_options", "max_attempts_option", "retries_option", "retry"]

_WHY = {
    "final": "asking again would not help",
    "exhausted": "asked as often as --max-attempts says",
    "refused": "refused with their whole job: --bisect finds which are to blame",
}

retries_option: Callable[..., Any] = click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="How often rows that failed for a passing reason are asked again.",
)

max_attempts_option: Callable[..., Any] = click.option(
    "--max-attempts",
    type=click.IntRange(min=1),
    metavar="N",
    default=3,
    show_default=True,
    help="How often a row may be asked in all.",
)


def deadline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Put `--deadline` and `--on-deadline` on a command."""
    command = click.option(
        "--on-deadline",
        type=click.Choice(["keep", "cancel_and_resplit"]),
        default="keep",
        show_default=True,
        help="What is done with a job past it; its unanswered rows are asked in smaller ones.",
    )(command)
    return click.option(
        "--deadline", type=SECONDS, help="Seconds after its creation a job is to have ended."
    )(command)


@click.command(
    short_help="Build the rows of RUN that failed to be asked again.",
    epilog=examples(
        """\
batchkit retry runs/reviews; batchkit submit runs/reviews
batchkit retry runs/reviews --max-output-tokens 8192
batchkit retry runs/reviews --limit max_rows=500
""",
        run="the run directory",
        asked="rows to be asked again, by the status they had",
        shards="request files they are in, each of which is to be a job",
        left="failed rows that are not, by why: final, exhausted, refused",
    ),
)
@click.argument("run", type=Place(file_okay=False))
@max_attempts_option
@click.option(
    "--max-output-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask truncated rows again, with this limit.",
)
@click.option("--bisect", is_flag=True, help="Cut jobs that were refused as a whole in halves.")
@click.option("--recut", is_flag=True, help="Cut shards that are too large to get a job smaller.")
@click.option(
    "--limit",
    multiple=True,
    metavar="NAME=NUMBER",
    help="What a shard may hold: max_rows=1000. May be repeated.",
)
@json_option
def retry(
    *,
    run: str,
    limit: tuple[str, ...],
    as_json: bool,
    **terms: Any,
) -> None:
    """Build shards of the rows of RUN that deserve to be asked again; submit sends them.

    Those are rows that are empty, malformed or missing, or failed for a passing reason. Rows whose
    answers are awaited are not asked again, so the command may be repeated. Exit code 4 when there
    are rows to submit or to wait for, else 3 when some are not ok.
    """
    built = bk.retry(run, limits=limits_of(limit), **terms)
    if as_json:
        facts = {"asked": built.asked, "shards": built.shards, "left": built.left}
        print_json({"run": run, **facts})
    else:
        for reason, count in built.left.items():
            rows = "1 failed row is" if count == 1 else f"{count:,} failed rows are"
            click.echo(f"{rows} not asked again: {_WHY[reason]}", err=True)
    finish(code_for(bk.open_run(run).tally()))
