from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import pytest

from batchkit.cli.output import check_output

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "to",
    [
        None,
        "a.parquet",
        "a.csv",
        "A.CSV",
        "new/a.jsonl",
        "a.ndjson",
        "new",
        "v1.2/",
        "empty",
        "gs://a-bucket/a.parquet",
    ],
)
def test_files_of_a_kind_and_new_folders_take_results(folder: Path, to: str | None) -> None:
    (folder / "empty").mkdir()
    check_output(to, "fail")


@pytest.mark.parametrize(
    "to, said",
    [
        ("a.xlsx", "results are written as .parquet, .csv, .jsonl, .ndjson, or to a folder"),
        ("s3://bucket/a.parquet", "results are written to this machine, to gs:// and to bq://"),
        ("bq://project.dataset", "name a table, bq://project.dataset.table"),
        (".", "a folder that holds files already"),
        ("reviews.csv/a.parquet", "reviews.csv takes no files"),
        ("reviews.csv/new/a.parquet", "reviews.csv takes no files"),
    ],
)
def test_other_places_are_refused_with_the_reason(folder: Path, to: str, said: str) -> None:
    assert folder.is_dir()
    with pytest.raises(click.UsageError, match=said):
        check_output(to, "fail")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    with pytest.raises(click.UsageError, match="closed takes no files"):
        check_output("closed/a.parquet", "fail")
