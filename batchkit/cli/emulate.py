"""The emulator on the command line: served until it is stopped, or beside one command."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

import batchkit as bk
from batchkit.cli.options import SECONDS
from batchkit.cli.outcome import examples
from batchkit.cli.places import Place

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchkit.emulator import Emulator
    from batchkit.emulator.bigquery import BigQuery
    from batchkit.emulator.faults import Fault

__all__ = ["emulate", "emulated", "emulated_client"]


def _parsed(_: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[Fault]:
    from batchkit.emulator import parse_fault  # noqa: PLC0415  # only this option needs it

    try:
        return [parse_fault(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.command(
    short_help="Serve the APIs on this machine, until Ctrl-C.",
    epilog=examples("""\
batchkit emulate --folder /tmp/gemini
batchkit emulate --port 0 --job-seconds 0 --pending-seconds 0
batchkit emulate --fault error,share=0.1,code=8 --fault stick,times=1
"""),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="N",
    default=8080,
    show_default=True,
    help="0 picks a free port.",
)
@click.option(
    "--folder",
    type=Place(file_okay=False),
    help="Keep all state here; without it, everything is gone at the end.",
)
@click.option(
    "--seed",
    metavar="N",
    default=0,
    show_default=True,
    help="Ids, order and answers follow from it.",
)
@click.option(
    "--job-seconds", type=SECONDS, default=2.0, show_default=True, help="How long a job runs."
)
@click.option(
    "--pending-seconds", type=SECONDS, default=1.0, show_default=True, help="How long it is queued."
)
@click.option(
    "--fault",
    "faults",
    callback=_parsed,
    multiple=True,
    metavar="KIND[,NAME=VALUE…]",
    help="What goes wrong, such as drop,share=0.1 or refuse,on=create; repeatable.",
)
@click.option("--bigquery", "with_bigquery", is_flag=True, help="Serve BigQuery, too.")
@click.option(
    "--bigquery-python",
    envvar="BATCHKIT_BIGQUERY_PYTHON",
    show_envvar=True,
    metavar="FILE",
    help="The interpreter that has bqemulator; looked for when left out.",
)
def emulate(  # noqa: PLR0913  # the options of a command
    *,
    port: int,
    folder: str | None,
    seed: int,
    job_seconds: float,
    pending_seconds: float,
    faults: list[Fault],
    with_bigquery: bool,
    bigquery_python: str | None,
) -> None:
    """Serve the Gemini APIs and Cloud Storage on this machine, until Ctrl-C.

    The Developer API's files, batches, generateContent, embedContent, countTokens and models,
    Vertex AI's batches, buckets and objects, as strict as the services; with --bigquery a stand-in
    for BigQuery, too, where bqemulator is installed. Prints the exports that point this tool and
    Google's libraries at it.
    """
    place = Path(folder) if folder else None
    seconds = (pending_seconds, job_seconds)
    with contextlib.ExitStack() as opened:
        serving = opened.enter_context(emulated(place, port, seed=seed, seconds=seconds))
        serving.inject(*faults)
        environment = dict(serving.environment)
        if with_bigquery:
            warehouse = opened.enter_context(_bigquery(bigquery_python, place))
            warehouse.use_storage(environment["STORAGE_EMULATOR_HOST"])
            serving.use_bigquery(warehouse)
            environment |= warehouse.environment
        for name, value in environment.items():
            click.echo(f"export {name}={shlex.quote(value) if value else value}")
        click.echo(f"# serving on {serving.url}; stop with Ctrl-C", err=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


def _bigquery(python: str | None, folder: Path | None) -> BigQuery:
    from batchkit.emulator import bigquery  # noqa: PLC0415  # only this command needs it

    try:
        return bigquery.serve(python=python, folder=folder / "bigquery" if folder else None)
    except bigquery.StartError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def emulated(
    folder: Path | None, port: int = 0, *, seed: int = 0, seconds: tuple[float, float]
) -> Generator[Emulator]:
    """An emulator for as long as the block lasts, the only one on its folder.

    `seconds` are those a job is queued and those it runs.
    """
    from batchkit import emulator  # noqa: PLC0415  # only two commands need it

    try:
        serving = emulator.serve(
            port, folder=folder, seed=seed, pending_seconds=seconds[0], job_seconds=seconds[1]
        )
    except sqlite3.Error as error:
        message = f"{folder} holds no state that this emulator can read ({error}): remove it"
        raise click.ClickException(message) from error
    except BlockingIOError as error:
        message = f"{error}: wait for it, or use another folder"
        raise click.ClickException(message) from error
    except OSError as error:
        if error.filename is not None or not port:
            raise
        message = f"port {port}: {error.strerror}; --port 0 picks a free one"
        raise click.ClickException(message) from error
    with serving:
        yield serving


@contextlib.contextmanager
def emulated_client(into: str | None, *, is_emulated: bool) -> Generator[bk.Gemini | None]:
    """A client of an emulator beside the run that lives for the block, or None without one."""
    if not is_emulated:
        yield None
        return
    run = Path(into).expanduser() if into else Path("runs/new")
    with emulated(run.parent / ".emulator", seconds=(0.5, 2.0)) as serving:
        yield bk.Gemini(serving.api_key, base_url=serving.url)
