"""The command line: one command per verb of the library, with the same words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn, cast

import click

from batchkit.cli.emulate import emulate
from batchkit.cli.outcome import ExitCode, ended
from batchkit.cli.request_files import check, convert
from batchkit.cli.retry import retry
from batchkit.cli.runs import build, collect, run, status, submit, wait
from batchkit.cli.salvage import salvage
from batchkit.cli.service import files, jobs
from batchkit.cli.shell import completion
from batchkit.cli.upkeep import cancel, clean

if TYPE_CHECKING:
    from io import TextIOWrapper

__all__ = ["main"]

_EPILOG = f"""\b
Exit codes:
{chr(10).join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)}

\b
Try it without an account:
  batchkit run sample_data/reviews.csv --key review_id \\
      --model gemini-3.8-flash --prompt "Summarise: {{text}}" --emulator
"""


class _Words(click.Group):
    """Commands whose words are text: a byte that is none could not be written down or sent."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args:
            try:
                word.encode()
            except UnicodeEncodeError:
                message = f"{word!r} is not UTF-8 text; a file of that name needs another one"
                raise click.UsageError(message, ctx) from None
        return super().parse_args(ctx, args)


@click.group(
    cls=_Words,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
    retry,
    status,
    cancel,
    clean,
    salvage,
    check,
    convert,
    jobs,
    files,
    emulate,
    completion,
):
    batchkit.add_command(_command)


def main() -> NoReturn:
    """Run a command; what goes wrong is one message on standard error and an exit code."""
    output = cast("TextIOWrapper | None", sys.stdout)
    if output is not None:  # it is when it was closed
        output.reconfigure(errors="backslashreplace")  # no locale makes a text an error
    sys.exit(ended(lambda: batchkit.main(standalone_mode=False)))
