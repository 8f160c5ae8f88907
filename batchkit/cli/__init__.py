"""The command line: one command per verb of the library, with the same words."""

from __future__ import annotations

import sys

import click

from batchkit.cli.emulate import emulate
from batchkit.cli.outcome import ExitCode
from batchkit.cli.request_files import check, convert
from batchkit.cli.runs import build, collect, run, status, submit, wait
from batchkit.cli.service import files, jobs
from batchkit.cli.shell import completion
from batchkit.errors import BatchkitError

__all__ = ["main"]

_EPILOG = f"""\b
Exit codes:
{chr(10).join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)}

\b
Try it without an account:
  batchkit run sample_data/reviews.csv --key review_id \\
      --model gemini-3.8-flash --prompt "Summarise: {{text}}" --emulator
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="batchkit")
def batchkit() -> None:
    """Turn tables into Gemini batches and put every answer back on its row.

    A run is a directory: build it, submit it, wait for it and collect it, in one command (run) or
    in four, on one day or on several. Every command can be stopped and given again.
    """


for _command in (
    run,
    build,
    submit,
    wait,
    collect,
    status,
    check,
    convert,
    jobs,
    files,
    emulate,
    completion,
):
    batchkit.add_command(_command)


def main() -> None:
    """Run a command; what goes wrong is one message on standard error and an exit code."""
    try:
        batchkit.main(standalone_mode=True)
    except BatchkitError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitCode.ERROR.value)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED.value)
