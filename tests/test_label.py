from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchkit.label import label_of, labelled_row, row_labels, run_tag

MOST = 2**40 - 200


@given(st.integers(0, MOST), st.integers(0, 100), st.text())
def test_labels_name_rows_once_in_the_characters_that_labels_may_have(
    first: int, count: int, run: str
) -> None:
    labels = row_labels(run_tag(run), np.arange(first, first + count))
    labels.validate(full=True)
    texts: list[str] = labels.to_pylist()
    assert len(set(texts)) == count
    assert all(re.fullmatch(r"bk-[a-z2-7]{16}", text) for text in texts)


@given(st.integers(0, MOST), st.integers(1, 50), st.integers(0, 49))
def test_a_rows_label_does_not_depend_on_the_batch_it_came_in(
    first: int, count: int, skipped: int
) -> None:
    tag = run_tag("20260106-abc")
    rows = np.arange(first, first + count + skipped)
    assert (
        row_labels(tag, rows[skipped:]).to_pylist() == row_labels(tag, rows).to_pylist()[skipped:]
    )


def test_labels_of_two_runs_differ() -> None:
    assert run_tag("a") != run_tag("b")
    rows = np.zeros(1, np.int64)
    assert row_labels(run_tag("a"), rows) != row_labels(run_tag("b"), rows)


def test_our_label_is_found_beside_others() -> None:
    assert label_of({"labels": {"team": "x", "batchkit": "bk-a"}}) == "bk-a"
    assert label_of({"labels": {"team": "x"}}) is None
    assert label_of({"labels": None}) is None
    assert label_of({"labels": {"batchkit": 7}}) is None
    assert label_of({}) is None


@given(st.integers(0, MOST), st.text())
def test_the_row_of_a_label_is_read_back_by_the_run_it_is_of(row: int, run: str) -> None:
    tag = run_tag(run)
    label = row_labels(tag, np.array([row])).to_pylist()[0]
    assert labelled_row(label, tag) == row
    assert labelled_row(label, run_tag(f"{run} ")) is None


@given(st.text(max_size=25))
def test_what_is_no_label_of_the_run_names_no_row(text: str) -> None:
    tag = run_tag("20260106-abc")
    assert labelled_row(text, tag) is None
    assert labelled_row(f"bk-{tag}{text}!", tag) is None
