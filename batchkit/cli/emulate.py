"""The command that serves the emulator until it is stopped."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchkit.cli.outcome import examples

if TYPE_CHECKING:
    from batchkit.emulator.bigquery import BigQuery

__all__ = ["emulate"]


@click.command(
    epilog=examples("""\
batchkit emulate --folder /tmp/gemini
batchkit emulate --bigquery --bigquery-python ~/bqemulator/bin/python
""")
)
@click.option("--port", default=8080, show_default=True, help="0 picks a free port.")
@click.option("--folder", help="Keep all state here; without it, everything is gone at the end.")
@click.option("--seed", default=0, show_default=True, help="Ids, order and answers follow from it.")
@click.option("--job-seconds", default=2.0, show_default=True, help="How long a job runs.")
@click.option("--pending-seconds", default=1.0, show_default=True, help="How long it is queued.")
@click.option("--bigquery", "with_bigquery", is_flag=True, help="Serve BigQuery too.")
@click.option(
    "--bigquery-python",
    envvar="BATCHKIT_BIGQUERY_PYTHON",
    show_envvar=True,
    help="The interpreter that has bqemulator; looked for when left out.",
)
def emulate(  # noqa: PLR0913  # the options of a command
    *,
    port: int,
    folder: str | None,
    seed: int,
    job_seconds: float,
    pending_seconds: float,
    with_bigquery: bool,
    bigquery_python: str | None,
) -> None:
    """Serve the Gemini Developer API on this machine, until Ctrl-C.

    Files, batches, generateContent, embedContent, countTokens and models, as strict as the
    service; with --bigquery also a stand-in for BigQuery, where bqemulator is installed. Prints the
    exports that point this tool and Google's SDKs at it.
    """
    from batchkit import emulator  # noqa: PLC0415  # only this command needs it

    with contextlib.ExitStack() as opened:
        environment: dict[str, str] = {}
        warehouse = None
        if with_bigquery:
            warehouse = opened.enter_context(_bigquery(bigquery_python, folder))
            environment |= warehouse.environment
        serving = opened.enter_context(
            emulator.serve(
                port,
                folder=folder,
                seed=seed,
                job_seconds=job_seconds,
                pending_seconds=pending_seconds,
            )
        )
        environment |= serving.environment
        if warehouse is not None:
            warehouse.use_storage(environment.get("STORAGE_EMULATOR_HOST"))
        for name, value in environment.items():
            click.echo(f"export {name}={value}")
        click.echo(f"# serving on {serving.url}; stop with Ctrl-C", err=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


def _bigquery(python: str | None, folder: str | None) -> BigQuery:
    from batchkit.emulator import bigquery  # noqa: PLC0415  # only this command needs it

    try:
        return bigquery.serve(python=python, folder=Path(folder) / "bigquery" if folder else None)
    except bigquery.StartError as error:
        raise click.ClickException(str(error)) from error
