"""The commands about request files: check and convert."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import batchkit as bk
from batchkit.cli.outcome import ExitCode, examples, finish, print_json

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


@click.command(
    epilog=examples("""\
batchkit check requests.jsonl
zcat requests.jsonl.gz | batchkit check -
""")
)
@click.argument("file")
@click.option("--dialect", type=click.Choice(_DIALECTS), help="Which service reads it; found out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(*, file: str, dialect: str | None, as_json: bool) -> None:
    """Check a request file offline; `-` reads standard input.

    Names line, key, path and remedy of each problem. Exit code 3 when there are errors.
    """
    with _input(file) as path:
        _tell(bk.check(path, dialect=dialect), as_json=as_json)


@click.command(
    epilog=examples("""\
batchkit convert bare.jsonl keyed.jsonl
""")
)
@click.argument("source")
@click.argument("to")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(*, source: str, to: str, as_json: bool) -> None:
    """Write a request file as keyed lines in UTF-8, then check it; `-` is standard in- or output.

    Takes bare lines, a JSON array, UTF-16, a byte order mark; moves misplaced fields.
    """
    with _input(source) as path, tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
        target = Path(folder) / "out.jsonl" if to == "-" else Path(to)
        report = bk.convert(path, target)
        if to == "-":
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        _tell(report, as_json=as_json, err=to == "-")


@contextmanager
def _input(file: str) -> Generator[Path]:
    """A path to read, even for standard input."""
    if file != "-":
        yield Path(file)
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
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
        print_json({"dialect": report.dialect, **counts, "problems": problems})
    else:
        click.echo(str(report), err=err)
    finish(ExitCode.DONE if report.ok else ExitCode.NOT_ALL_OK)
