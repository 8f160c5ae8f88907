"""The commands about request files: check and convert."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

import batchkit as bk
from batchkit.cli.options import json_option
from batchkit.cli.outcome import ExitCode, examples, finish, print_json
from batchkit.cli.output import print_file
from batchkit.cli.places import Place

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchkit.request_check import Report

__all__ = ["check", "convert"]

_DIALECTS = (
    "gemini-generate",
    "gemini-embed",
    "vertex-generate",
    "vertex-embed",
    "vertex-embed-legacy",
)
_FIELDS = {
    "dialect": "which service reads it, and how",
    "lines": "lines with requests",
    "errors": "how many problems make the service refuse",
    "warnings": "how many do not",
    "problems": "each with severity, rule, line, key, path, message, remedy",
}


@click.command(
    short_help="Check a request file offline.",
    epilog=examples(
        """\
batchkit check requests.jsonl
zcat requests.jsonl.gz | batchkit check -
""",
        **_FIELDS,
    ),
)
@click.argument("file", type=Place(allow_dash=True))
@click.option("--dialect", type=click.Choice(_DIALECTS), help="Which service reads it; found out.")
@json_option
def check(*, file: str, dialect: str | None, as_json: bool) -> None:
    """Check a request file offline; `-` reads standard input.

    Names line, key, path and remedy of each problem. Exit code 3 when there are errors.
    """
    with _input(file) as path:
        _tell(bk.check(path, dialect=dialect), as_json=as_json)


@click.command(
    short_help="Write a request file as keyed lines in UTF-8; check it.",
    epilog=examples(
        """\
batchkit convert bare.jsonl keyed.jsonl
cat bare.jsonl | batchkit convert - - > keyed.jsonl
""",
        **_FIELDS,
    ),
)
@click.argument("source", type=Place(allow_dash=True))
@click.argument("to", type=Place(allow_dash=True))
@json_option
def convert(*, source: str, to: str, as_json: bool) -> None:
    """Write a request file as keyed lines in UTF-8, then check it; `-` is standard in- or output.

    Takes bare lines, a JSON array, UTF-16, a byte order mark; moves misplaced fields. What was
    found goes to standard error when the requests go to standard output. Exit code 3 when there
    are errors left.
    """
    with _input(source) as path, tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
        target = Path(folder) / "out.jsonl" if to == "-" else Path(to)
        report = bk.convert(path, target)
        if to == "-":
            print_file(target)
        _tell(report, as_json=as_json, err=to == "-")


@contextlib.contextmanager
def _input(file: str) -> Generator[Path]:
    """A path that can be read twice, even for standard input and a pipe."""
    if file == "-" and sys.stdin is None:
        message = "standard input is closed"
        raise click.UsageError(message)
    path = Path(file)
    if file != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        yield path
        return
    with contextlib.ExitStack() as opened:
        is_stdin = file == "-"
        source = sys.stdin.buffer if is_stdin else opened.enter_context(path.open("rb"))
        copy = opened.enter_context(tempfile.NamedTemporaryFile(suffix=".jsonl"))
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)


def _tell(report: Report, *, as_json: bool, err: bool = False) -> None:
    if as_json:
        problems = [
            {
                "severity": problem.severity,
                "rule": problem.rule,
                "line": problem.line,
                "key": problem.key,
                "path": problem.path,
                "message": problem.message,
                "remedy": problem.remedy,
            }
            for problem in report.problems
        ]
        counts = {"lines": report.lines, "errors": report.errors, "warnings": report.warnings}
        print_json({"dialect": report.dialect, **counts, "problems": problems}, err=err)
    else:
        click.echo(str(report), err=err)
    finish(ExitCode.DONE if report.ok else ExitCode.NOT_ALL_OK)
