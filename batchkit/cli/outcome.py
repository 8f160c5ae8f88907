"""How a command ends: exit codes, and the JSON that scripts read instead of text."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExitCode", "code_for", "examples", "finish", "print_json"]


class ExitCode(enum.Enum):
    """What the exit code of every command means."""

    DONE = 0, "done; every row that was asked for is ok"
    ERROR = 1, "an error, said on standard error; nothing of a run is lost"
    USAGE = 2, "the command line is wrong"
    NOT_ALL_OK = 3, "done, but some rows, lines or jobs are not ok"
    NOT_DONE = 4, "not done yet: give the command again later"
    INTERRUPTED = 130, "stopped by Ctrl-C; jobs go on"

    def __init__(self, code: int, meaning: str) -> None:
        self._value_ = code
        self.meaning = meaning


def examples(lines: str) -> str:
    """Examples for the end of a help text, each on its line."""
    return "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines.rstrip().split("\n"))


def print_json(value: Mapping[str, Any]) -> None:
    """One line of JSON on standard output."""
    click.echo(jsonl.dumps_foreign(value))


def finish(code: ExitCode) -> NoReturn:
    """End the command with this code."""
    sys.exit(code.value)


def code_for(statuses: Mapping[str, int]) -> ExitCode:
    """The code for a tally: rows to come before rows that are not ok."""
    if statuses.get("pending"):
        return ExitCode.NOT_DONE
    rest = sum(count for status, count in statuses.items() if status != "ok")
    return ExitCode.NOT_ALL_OK if rest else ExitCode.DONE
