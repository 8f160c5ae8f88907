from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.conftest import VertexService
    from tests.warehouse import Warehouse

TEXTS = ["warm", None, "it smells"]


@pytest.fixture
def target(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset with a table `reviews`, and an environment that leads there."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    dataset = bigquery.new_dataset("us-central1")
    rows = ", ".join(
        f"STRUCT({number} AS id, {'NULL' if text is None else repr(text)} AS text)"
        for number, text in enumerate(TEXTS)
    )
    bigquery.ask(f"CREATE TABLE `{dataset}.reviews` AS SELECT * FROM UNNEST([{rows}])")  # noqa: S608  # texts of this file
    return f"bq://{dataset}"


def words(command: str, target: str) -> list[str]:
    spec = ["--key", "id", "--model", "gemini-3.8-flash", "--prompt", "Say {text}"]
    return [command, f"{target}.reviews", *spec, "--target", target, "--pushdown"]


def test_a_table_goes_through_and_its_result_is_a_table(
    folder: Path, bigquery: Warehouse, target: str
) -> None:
    said = process(*words("run", target), "--into", "run", "--poll-seconds", "0.1", "--json")
    assert (said.code, said.json["rows"]) == (3, 3), said.err
    assert said.json["statuses"]["ok"] == 2
    assert said.json["results"].startswith(f"{target}.batchkit_")
    found = bigquery.client.list_rows(said.json["results"].removeprefix("bq://"))
    answers = {row["id"]: row["response"] for row in found}
    assert answers == {0: "Echo: Say warm", 1: None, 2: "Echo: Say it smells"}
    assert not (folder / "run" / "results").exists()


def test_a_dry_run_shows_the_sql_and_makes_nothing(
    say: Command, folder: Path, bigquery: Warehouse, target: str
) -> None:
    said = say(*words("build", target), "--dry-run")
    assert said.code == 0, said.err
    assert f"FROM `{target.removeprefix('bq://')}.reviews` AS source" in said.out
    assert said.out.count("\n-- ") == 5
    assert len(list(bigquery.client.list_tables(target.removeprefix("bq://")))) == 1
    assert list(folder.iterdir()) == [folder / "reviews.csv"]


def test_a_dry_run_is_for_pushdown(say: Command) -> None:
    said = say("build", "reviews.csv", "--model", "m", "--prompt", "{text}", "--dry-run")
    assert said.code == 2
    assert "--dry-run shows the SQL of --pushdown" in said.error
