"""Runs every notebook from scratch and writes it back, or checks that nothing would change.

usage: execute.py [--check]

Text, tables and pictures come out the same each time: the emulator's answers follow from its seed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import ExecutePreprocessor

HERE = Path(__file__).parent
SECONDS_PER_CELL = 300


def executed(path: Path) -> Any:
    """The notebook as it is after a run in a copy of the folders it needs."""
    notebook = nbformat.read(path, as_version=4)
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
    """Execute all; the exit code is 1 when `--check` finds a difference."""
    check = "--check" in sys.argv[1:]
    changed: list[str] = []
    for path in sorted(HERE.glob("*.ipynb")):
        text = nbformat.writes(executed(path)) + "\n"
        if text == path.read_text(encoding="utf-8"):
            print(f"{path.name}: as committed")
            continue
        changed.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {'differs from what is committed' if check else 'written'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
