"""Runs every notebook from scratch and writes it back, or checks that nothing would change.

usage: execute.py [--check]

Text, tables and pictures come out the same each time: the emulator's answers follow from its seed.
A notebook that starts BigQuery gets the environment that tests/bigquery locks; where that cannot be
made the notebook is NOT RUN, and the exit code is 77 when nothing else is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import ExecutePreprocessor

HERE = Path(__file__).parent
BIGQUERY_PROJECT = HERE.parent / "tests" / "bigquery"
BIGQUERY_ENVIRONMENT = HERE.parent / ".venv-bigquery"
BIGQUERY_PYTHON = "BATCHKIT_BIGQUERY_PYTHON"  # which `batchkit emulate --bigquery` reads
SECONDS_PER_CELL = 300
NOT_RUN = 77  # as of automake's tests


def starts_bigquery(notebook: Any) -> bool:
    """Whether a cell starts the emulator with BigQuery."""
    return any("--bigquery" in cell.source for cell in notebook.cells if cell.cell_type == "code")


def make_bigquery() -> str | None:
    """Have notebooks find bqemulator; why they cannot, or None."""
    if BIGQUERY_PYTHON in os.environ:
        return None
    beside = Path(sys.executable).parent
    uv = os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=beside)
    if uv is None:
        return "its environment for BigQuery is made by uv, which is not here"
    surroundings = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(  # noqa: S603  # uv itself
        [uv, "sync", "--frozen", "--python", sys.executable, "--project", BIGQUERY_PROJECT],
        env={**surroundings, "UV_PROJECT_ENVIRONMENT": str(BIGQUERY_ENVIRONMENT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"its environment for BigQuery could not be made: {' '.join(done.stderr.split())}"
    os.environ[BIGQUERY_PYTHON] = str(BIGQUERY_ENVIRONMENT / "bin" / "python")
    return None


def executed(notebook: Any) -> Any:
    """The notebook as it is after a run in a copy of the folders it needs."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "notebooks"
        folder.mkdir()
        shutil.copytree(HERE.parent / "sample_data", Path(name) / "sample_data")
        runner = ExecutePreprocessor(timeout=SECONDS_PER_CELL, record_timing=False)
        runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> int:
    """Execute all; the exit code is 1 for a difference that `--check` finds, 77 for NOT RUN."""
    check = "--check" in sys.argv[1:]
    changed: list[str] = []
    not_run: list[str] = []
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if starts_bigquery(notebook) and (why := make_bigquery()):
            not_run.append(path.name)
            print(f"{path.name}: NOT RUN, {why}")
            continue
        text = nbformat.writes(executed(notebook)) + "\n"
        if text == path.read_text(encoding="utf-8"):
            print(f"{path.name}: as committed")
            continue
        changed.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {'differs from what is committed' if check else 'written'}")
    if check and changed:
        return 1
    return NOT_RUN if not_run else 0


if __name__ == "__main__":
    sys.exit(main())
