"""The command that serves the emulator until it is stopped."""

from __future__ import annotations

import time

import click

from batchkit.cli.outcome import examples

__all__ = ["emulate"]


@click.command(
    epilog=examples("""\
batchkit emulate --folder /tmp/gemini
""")
)
@click.option("--port", default=8080, show_default=True, help="0 picks a free port.")
@click.option("--folder", help="Keep all state here; without it, everything is gone at the end.")
@click.option("--seed", default=0, show_default=True, help="Ids, order and answers follow from it.")
@click.option("--job-seconds", default=2.0, show_default=True, help="How long a job runs.")
@click.option("--pending-seconds", default=1.0, show_default=True, help="How long it is queued.")
def emulate(
    *, port: int, folder: str | None, seed: int, job_seconds: float, pending_seconds: float
) -> None:
    """Serve the Gemini Developer API on this machine, until Ctrl-C.

    Files, batches, generateContent, embedContent, countTokens and models, as strict as the
    service. Prints the exports that point this tool and Google's SDKs at it.
    """
    from batchkit import emulator  # noqa: PLC0415  # only this command needs it

    with emulator.serve(
        port,
        folder=folder,
        seed=seed,
        job_seconds=job_seconds,
        pending_seconds=pending_seconds,
    ) as serving:
        for name, value in serving.environment.items():
            click.echo(f"export {name}={value}")
        click.echo(f"# serving on {serving.url}; stop with Ctrl-C", err=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
