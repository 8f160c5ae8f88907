"""How a command ends: exit codes, errors in one message, and the JSON that scripts read."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batchkit import jsonl
from batchkit.errors import AmbiguousJobError, BatchkitError, JobNotFinishedError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from batchkit.rundir import Run

__all__ = ["ExitCode", "code_for", "code_of", "ended", "examples", "finish", "print_json"]


class ExitCode(enum.Enum):
    """What the exit code of every command means."""

    DONE = 0, "done; every row that was asked for is ok"
    ERROR = 1, "an error, said on standard error; nothing of a run is lost"
    USAGE = 2, "the command line is wrong"
    NOT_ALL_OK = 3, "done, but some rows, lines or jobs are not ok"
    NOT_DONE = 4, "not done yet: give the command again later"
    AMBIGUOUS = 5, "several jobs have one name, and each may be paid for; the message names them"
    INTERRUPTED = 130, "stopped by Ctrl-C; jobs go on"
    UNREAD = 141, "whoever read the output has gone, as with `| head`"
    TERMINATED = 143, "stopped by SIGTERM; jobs go on"

    def __init__(self, code: int, meaning: str) -> None:
        self._value_ = code
        self.meaning = meaning


# With which click and rich exit when they write to a broken pipe.
_BROKEN_PIPE = 1


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: displays are closed, folders tidied."""


def ended(command: Callable[[], int | None]) -> int:
    """The exit code of a command; what goes wrong is one message on standard error."""
    try:
        with _terminable():
            return _said(command)
    except (BrokenPipeError, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != _BROKEN_PIPE:
            raise
        _forget_output()
        return ExitCode.UNREAD.value


def _said(command: Callable[[], int | None]) -> int:
    try:
        return command() or ExitCode.DONE.value
    except click.Abort as stop:  # click's word for it
        is_sigterm = isinstance(stop.__cause__, _Terminated)
        return (ExitCode.TERMINATED if is_sigterm else ExitCode.INTERRUPTED).value
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (JobNotFinishedError, WaitTimeoutError) as error:
        click.echo(str(error), err=True)
        return ExitCode.NOT_DONE.value
    except AmbiguousJobError as error:
        click.echo(f"Error: {error}", err=True)
        return ExitCode.AMBIGUOUS.value
    except BatchkitError as error:
        message = str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        message = _of_system(error)
    click.echo(f"Error: {message}", err=True)
    return ExitCode.ERROR.value


def _of_system(error: OSError) -> str:
    """What the operating system refused: which file, and why."""
    name = error.filename2 or error.filename
    reason = error.strerror or str(error)
    return f"{os.fsdecode(name)}: {reason}" if isinstance(name, str | bytes) else reason


@contextlib.contextmanager
def _terminable() -> Generator[None]:
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def _forget_output() -> None:
    """Let what is still to be written go nowhere: the interpreter would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())


def examples(lines: str, /, **fields: str) -> str:
    """Examples for the end of a help text, each on its line, and the fields of `--json`."""
    said = "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines.rstrip().split("\n"))
    if not fields:
        return said
    width = max(map(len, fields))
    listed = "".join(f"  {name:<{width}}  {meaning}\n" for name, meaning in fields.items())
    return f"{said}\n\b\nFields of --json:\n{listed}"


def print_json(value: Mapping[str, Any], *, err: bool = False) -> None:
    """One line of JSON on standard output, or on standard error."""
    click.echo(jsonl.dumps_foreign(value), err=err)


def finish(code: ExitCode) -> NoReturn:
    """End the command with this code."""
    raise click.exceptions.Exit(code.value)


def code_of(run: Run) -> ExitCode:
    """The code for what a run has come to; what was sent twice is said."""
    for name, twins in run.twins().items():
        message = f"{name} was sent twice: {', '.join(twins)} may be paid for, too"
        click.echo(f"Warning: {message}", err=True)
    code = code_for(run.tally())
    return ExitCode.AMBIGUOUS if code is not ExitCode.NOT_DONE and run.twins() else code


def code_for(statuses: Mapping[str, int]) -> ExitCode:
    """The code for a tally: rows to come before rows that are not ok."""
    if statuses.get("pending"):
        return ExitCode.NOT_DONE
    rest = sum(count for status, count in statuses.items() if status != "ok")
    return ExitCode.NOT_ALL_OK if rest else ExitCode.DONE
