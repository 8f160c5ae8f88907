"""Where results go, and what is said about them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchkit.cli.options import Place
from batchkit.cli.outcome import code_for, finish, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import batchkit as bk

__all__ = ["check_output", "print_file", "tell", "tell_results", "to_option"]

_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson")

to_option: Callable[..., Any] = click.option(
    "--to",
    type=Place(),
    metavar="PATH",
    help="Where results go: .parquet, .csv, .jsonl, or a new folder; `results/` of the run if "
    "absent.",
)


def check_output(to: str | None) -> None:
    """Refuse, before anything is sent, a place where results could not be written."""
    if to is None:
        return
    path = Path(to)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    wrong = None
    if "://" in to:
        wrong = "this version writes local files"
    elif path.is_dir():
        wrong = "a folder that holds files already" if any(path.iterdir()) else None
    elif path.suffix and path.suffix.lower() not in _ENDINGS and not to.endswith("/"):
        wrong = f"results are written as {', '.join(_ENDINGS)}, or to a folder (end it with /)"
    elif not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        wrong = f"{above} takes no files"
    if wrong:
        message = f"--to {to}: {wrong}"
        raise click.UsageError(message)


def print_file(path: Path) -> None:
    """The bytes of a file on standard output."""
    if sys.stdout is None:  # it was closed
        return
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def tell(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Facts as one JSON object, or a line each; as text, those that are None are left out."""
    if as_json:
        print_json(facts)
        return
    from batchkit.display.summary import print_facts  # noqa: PLC0415  # rich takes time to load

    print_facts(facts)


def tell_results(results: bk.Results, to: str | None, *, as_json: bool) -> None:
    """Write the result, say where it is and what became of the rows, and end the command."""
    path = _write(results, to)
    statuses = results.tally()
    run = str(results.run.folder)
    if as_json:
        print_json({"run": run, "rows": len(results), "statuses": statuses, "results": str(path)})
    else:
        from batchkit.display.summary import print_tally  # noqa: PLC0415  # rich takes time to load

        print_tally(statuses, {"run": run, "results": path})
    finish(code_for(statuses))


def _write(results: bk.Results, to: str | None) -> Path:
    if to is None:
        return results.to_parquet()
    ending = Path(to).suffix.lower()
    if ending == ".csv":
        return results.to_csv(to)
    if ending in {".jsonl", ".ndjson"}:
        return results.to_jsonl(to)
    return results.to_parquet(to)
