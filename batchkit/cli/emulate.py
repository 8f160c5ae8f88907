"""The emulator on the command line: served until it is stopped, or beside one command."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchkit.cli.options import SECONDS, Place
from batchkit.cli.outcome import examples

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchkit.emulator import Emulator

__all__ = ["emulate", "emulated"]


@click.command(
    epilog=examples("""\
batchkit emulate --folder /tmp/gemini
batchkit emulate --port 0 --job-seconds 0 --pending-seconds 0
""")
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
def emulate(
    *, port: int, folder: str | None, seed: int, job_seconds: float, pending_seconds: float
) -> None:
    """Serve the Gemini Developer API on this machine, until Ctrl-C.

    Files, batches, generateContent, embedContent, countTokens and models, as strict as the
    service. Prints the exports that point this tool and Google's SDKs at it.
    """
    place = Path(folder) if folder else None
    with emulated(place, port, seed=seed, seconds=(pending_seconds, job_seconds)) as serving:
        for name, value in serving.environment.items():
            click.echo(f"export {name}={value}")
        click.echo(f"# serving on {serving.url}; stop with Ctrl-C", err=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


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
