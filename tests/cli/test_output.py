from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click
import pytest

from batchkit.cli.output import check_output

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.cloud import GoogleCloud
    from tests.warehouse import Warehouse

WAY = ("--key", "id", "--model", "gemini-3.8-flash", "--prompt", "Say {text}", "--into", "run")


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


@pytest.mark.parametrize("verb", ["run", "collect"])
def test_a_csv_is_free_of_formulas_on_request(say: Command, folder: Path, verb: str) -> None:
    (folder / "t.csv").write_text("id,text\n1,=cmd|x\n", encoding="utf-8")
    rows = ("t.csv", *WAY, "--emulator") if verb == "run" else ("run",)
    if verb == "collect":
        assert say("build", "t.csv", *WAY).code == 0
    said = say(verb, *rows, "--to", f"{verb}.csv", "--escape-formulas")
    assert said.code in {0, 4}
    assert '"\'=cmd|x"' in (folder / f"{verb}.csv").read_text(encoding="utf-8")


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


@pytest.fixture
def signed_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of an account in Google Cloud, which no stand-in asks for."""
    parts = {"client_id": "c", "client_secret": "s", "refresh_token": "t"}
    path = folder / "credentials.json"
    path.write_text(json.dumps({"type": "authorized_user", **parts}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "emulator-project")


@pytest.mark.usefixtures("signed_in")
def test_a_table_in_a_bucket_goes_there_and_its_result_back(say: Command, gs: GoogleCloud) -> None:
    address = gs.put("rows.csv", b"id,text\n1,a\n2,b\n")
    said = say(
        "run", address, *WAY, "--poll-seconds", "0.2", "--to", "gs://a-bucket/o.jsonl", "--json"
    )
    assert (said.code, said.json["results"]) == (0, "gs://a-bucket/o.jsonl")
    assert [json.loads(line)["response"] for line in gs.content("o.jsonl").splitlines()] == [
        "Echo: Say a",
        "Echo: Say b",
    ]


@pytest.mark.usefixtures("signed_in")
@pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")
def test_a_table_of_bigquery_is_built_and_collected_into_another(
    say: Command, bq: GoogleCloud, bigquery: Warehouse
) -> None:
    assert bq.url
    bigquery.load([{"id": 1, "text": "a"}, {"id": 2, "text": "b"}])
    built = say("build", f"bq://{bigquery.table()}", *WAY, "--json")
    assert (built.code, built.json["rows"]) == (0, 2)
    to = f"bq://{bigquery.table('results')}"
    for _ in range(2):
        collected = say("collect", "run", "--to", to, "--json")
        assert (collected.code, collected.json["results"]) == (4, to)
    assert sorted(row["id"] for row in bigquery.rows("results")) == [1, 2]
    assert say("collect", "run", "--to", to, "--if-exists", "append").code == 4
    assert len(bigquery.rows("results")) == 4


@pytest.mark.usefixtures("signed_in")
def test_a_table_that_results_could_not_go_to_is_said_before_anything_is_built(
    say: Command, folder: Path, bq: GoogleCloud, bigquery: Warehouse
) -> None:
    assert bq.url
    bigquery.load([{"id": 1}])
    taken = say("run", "reviews.csv", *WAY, "--to", f"bq://{bigquery.table()}")
    assert taken.code == 2
    assert "that table exists: name another, or say --if-exists" in taken.error
    missing = say("run", "reviews.csv", *WAY, "--to", f"bq://{bigquery.project}.no.t")
    assert missing.code == 1
    assert "bigquery.dataset: 404" in missing.error
    assert not (folder / "run").exists()


@pytest.mark.usefixtures("signed_in")
def test_where_a_vertex_job_writes_and_whether_it_has_labels_can_be_said(
    say: Command, folder: Path
) -> None:
    vertex = ("--target", "gs://a-bucket/in", "--output", "gs://a-bucket/out", "--no-labels")
    assert say("build", "reviews.csv", *WAY, *vertex).code == 0
    definition = json.loads((folder / "run" / "run.json").read_bytes())
    assert (definition["target"], definition["output"], definition["labelled"]) == (
        "gs://a-bucket/in",
        "gs://a-bucket/out",
        False,
    )
