from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

from batchkit.display.summary import print_facts, print_rows, print_tally

if TYPE_CHECKING:
    import pytest

ROWS = [
    {"name": "files/a", "bytes": 1_234, "title": "日本", "error": None, "why": "x" * 90},
    {"name": "files/bcd", "bytes": 5, "title": None, "error": None, "why": "y"},
]


def test_a_tally_is_counts_their_sum_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    print_tally({"ok": 2_636, "error": 0, "missing": 4}, {"results": "runs/x/results"})
    assert capsys.readouterr().out.split("\n") == [
        "ok       2,636",
        "missing      4",
        "rows     2,640",
        "results  runs/x/results",
        "",
    ]


def test_facts_are_a_line_each_without_those_that_are_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_facts({"run": "runs/[x]", "rows": 1_200, "held": None, "is_built": True})
    assert capsys.readouterr().out == "run       runs/[x]\nrows      1,200\nis_built  True\n"


def test_rows_are_a_table_in_which_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS)
    assert capsys.readouterr().out.split("\n") == [
        "name       bytes  title  why",
        f"files/a    1,234  日本   {'x' * 90}",
        "files/bcd  5             y",
        "",
    ]


def test_a_terminal_gets_the_first_columns_that_fit() -> None:
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    code = f"from batchkit.display.summary import print_rows; print_rows({ROWS})"
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "NO_COLOR": "1", "TERM": "xterm"},
        check=True,
    )
    os.close(child)
    shown = os.read(parent, 65_536).decode()
    os.close(parent)
    assert "files/bcd  5" in shown
    assert "why" not in shown


def test_no_rows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([])
    assert capsys.readouterr().out == "none\n"
