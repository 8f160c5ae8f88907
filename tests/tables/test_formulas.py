from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.tables.formulas import formula_free, without_formulas
from batchkit.tables.written import write_csv

if TYPE_CHECKING:
    from pathlib import Path

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "=", "-"]
TEXTS = ["", "1=1", " =1", "'=1", "a-b", "東京", '"=1"', ",=1"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_an_apostrophe_goes_before_formulas_and_nothing_else(kind: pa.DataType) -> None:
    found = formula_free(pa.array([*FORMULAS, *TEXTS, None], kind))
    assert found.type == kind
    assert found.to_pylist() == [*(f"'{text}" for text in FORMULAS), *TEXTS, None]
    assert without_formulas([*FORMULAS, *TEXTS]) == found.to_pylist()[:-1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_columns_and_names_are_told_alike(texts: list[str]) -> None:
    found = formula_free(pa.array(texts, pa.string())).to_pylist()
    assert found == without_formulas(texts)
    assert not any(text[:1] in set("=+-@\t\r\n") for text in found if text)


def test_numbers_stay_numbers() -> None:
    column = pa.array([-1, None, 2])
    assert formula_free(column) is column


def test_a_csv_is_free_of_formulas_on_request(tmp_path: Path) -> None:
    table = pa.table(
        {"=HYPERLINK(1)": FORMULAS, "n": [-i for i in range(len(FORMULAS))], "t": [["-a"]] * 10}
    )
    plain = write_csv(table.to_reader(), tmp_path / "plain.csv")
    free = write_csv(table.to_reader(), tmp_path / "free.csv", escape_formulas=True)
    with plain.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file))[0] == "=HYPERLINK(1)"
    with free.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["'=HYPERLINK(1)", "n", "t"]
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS]
    assert [row[1] for row in rows[:2]] == ["0", "-1"]
