"""Where results go, and what is said about them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import batchkit as bk
from batchkit.cli.options import limits_of
from batchkit.cli.outcome import ExitCode, code_of, finish, print_json
from batchkit.cli.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from batchkit.warehouse import IfExists

__all__ = ["check_output", "print_file", "show_sql", "tell", "tell_results", "to_option"]

_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson")

_to: Callable[..., Any] = click.option(
    "--to",
    type=Place(),
    metavar="PATH",
    help="Where results go: .parquet, .csv, .jsonl, or a new folder, also at gs://…; or "
    "bq://project.dataset.table; `results/` of the run if absent, with --pushdown a table.",
)
_if_exists = click.option(
    "--if-exists",
    type=click.Choice(["fail", "replace", "append"]),
    default="fail",
    show_default=True,
    help="What becomes of a bq:// table that exists.",
)


_escape_formulas = click.option(
    "--escape-formulas",
    is_flag=True,
    help="In a .csv, put ' before texts that a spreadsheet would run as formulas.",
)


def to_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Put the options on a command that say where its results go, and how."""
    return _to(_if_exists(_escape_formulas(command)))


def check_output(to: str | None, if_exists: IfExists, *, into: str | None = None) -> None:
    """Refuse, before anything is sent, a place where results could not be written.

    A table that exists may be ours when the run directory `into` holds a run.
    """
    if to is None:
        return
    if to.startswith("gs://"):
        from batchkit.storage import ObjectUri  # noqa: PLC0415  # Google's libraries are slow

        ObjectUri.parse(to)
    elif to.startswith("bq://"):
        is_new = into is None or not (Path(into).expanduser() / "run.json").exists()
        _check_table(to, is_free=is_new and if_exists == "fail")
    else:
        _check_path(to)


def _check_table(to: str, *, is_free: bool) -> None:
    from batchkit.clients import connect_cloud  # noqa: PLC0415  # as above
    from batchkit.warehouse import TableName  # noqa: PLC0415  # as above

    name = TableName.parse(to)
    if not name.table:
        message = f"--to {to}: name a table, {name}.table"
        raise click.UsageError(message)
    warehouse = connect_cloud().warehouse
    warehouse.location(name)
    if is_free and warehouse.find(name) is not None:
        message = f"--to {to}: that table exists: name another, or say --if-exists"
        raise click.UsageError(message)


def _check_path(to: str) -> None:
    path = Path(to)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    wrong = None
    if "://" in to:
        wrong = "results are written to this machine, to gs:// and to bq://"
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


def show_sql(
    table: str, spec: bk.Spec | None, options: dict[str, Any], *, as_json: bool
) -> NoReturn:
    """Print what BigQuery would be asked, each statement under its name, and end the command."""
    if not options["pushdown"] or spec is None:
        message = "--dry-run shows the SQL of --pushdown, of a table with --prompt"
        raise click.UsageError(message)
    given = {name: options[name] for name in ("key", "target", "prefix")}
    statements = bk.pushdown_sql(table, spec, limits=limits_of(options["limit"]), **given)
    if as_json:
        print_json(statements)
    else:
        shown = (f"-- {name}\n{sql.rstrip()};\n" for name, sql in statements.items())
        click.echo("\n".join(shown), nl=False)
    finish(ExitCode.DONE)


def tell_results(
    results: bk.Results,
    to: str | None,
    if_exists: IfExists,
    *,
    escape_formulas: bool,
    as_json: bool,
) -> None:
    """Write the result, say where it is and what became of the rows, and end the command."""
    path = _write(results, to, if_exists, escape_formulas=escape_formulas)
    statuses = results.tally()
    run = str(results.run.folder)
    if as_json:
        print_json({"run": run, "rows": len(results), "statuses": statuses, "results": str(path)})
    else:
        from batchkit.display.summary import print_tally  # noqa: PLC0415  # rich takes time to load

        print_tally(statuses, {"run": run, "results": path})
    finish(code_of(results.run))


def _write(
    results: bk.Results, to: str | None, if_exists: IfExists, *, escape_formulas: bool
) -> Path | str:
    if to is None:
        is_there = results.run.definition.resident is not None
        return results.to_bigquery() if is_there else results.to_parquet()
    if to.startswith("bq://"):
        return results.to_bigquery(to, if_exists=if_exists)
    ending = Path(to).suffix.lower()
    if ending == ".csv":
        return results.to_csv(to, escape_formulas=escape_formulas)
    if ending in {".jsonl", ".ndjson"}:
        return results.to_jsonl(to)
    return results.to_parquet(to)
