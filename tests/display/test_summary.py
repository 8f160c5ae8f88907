from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from batchkit.display.summary import print_rows, print_tally

if TYPE_CHECKING:
    import pytest


def test_a_tally_is_counts_their_sum_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    print_tally({"ok": 2_636, "error": 0, "missing": 4}, {"results": "runs/x/results"})
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert [line.split() for line in lines] == [
        ["ok", "2,636"],
        ["missing", "4"],
        ["rows", "2,640"],
        ["results", "runs/x/results"],
    ]


def test_rows_are_a_table_without_the_columns_that_all_lack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    when = dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.UTC)
    print_rows([{"name": "files/a", "bytes": 1_234, "ends": when, "error": None}])
    said = capsys.readouterr().out
    assert [line.split() for line in said.rstrip("\n").split("\n")] == [
        ["name", "bytes", "ends"],
        ["files/a", "1,234", "2026-11-23", "10:00:00"],
    ]


def test_no_rows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([])
    assert capsys.readouterr().out == "none\n"
