"""One table and one spec by every way through Google Cloud: the same result, row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud.bigquery import LoadJobConfig

import batchkit as bk
from batchkit.emulator import AnswerError, serve
from tests.conftest import VertexService, quick_client, quick_vertex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.warehouse import Warehouse

    Row = dict[str, Any]

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

SYSTEM = 'Answer "briefly",\nin one sentence.'
CONFIG = {"temperature": 0.25, "stopSequences": ["\u2028", "'"]}
SPEC = bk.generate(
    "gemini-3.8-flash",
    "Explain {id} ({characters} characters, {signature??no signature}): {text}",
    system=SYSTEM,
    config=CONFIG,
)
REFUSED = "what the model refuses"
HOSTILE = {
    "quotes": 'quotes " and \' and ` and \\ backslashes \\" \\u0041',
    "lines": "line\nbreak\r\nand\ttab",
    "separators": "U+2028 \u2028 and U+2029 \u2029 and NEL \x85",
    "controls": "a bell \x07 and a unit separator \x1f",
    "emoji": "😀 and 👩‍👩‍👧 and 東京",
    "accents": "e\u0301 is not \u00e9",
    "braces": "{text} {{}} %s ${x} {0}",
    "JSON": '{"request": null, "key": ["quotes"]}',
    "SQL": "'; DROP TABLE pydocs; -- @p ?",
    "spaces": "  \u00a0 around \ufeff  ",
    "twin": "the same text",
    'the other "twin"\u2028😀': "the same text",
    "refused": REFUSED,
    "empty": "",
    "null": None,
}


@dataclass(frozen=True)
class Clouds:
    """Vertex AI and BigQuery that know each other, the same rows in both, and a folder here."""

    vertex: VertexService
    bigquery: Warehouse
    dataset: str
    rows: list[Row]
    folder: Path

    def address(self, table: str) -> str:
        """A table of the dataset."""
        return f"bq://{self.dataset}.{table}"

    def run(self, name: str, table: str, target: str, **options: Any) -> bk.Results:
        """A run by one way, which sends every row that has a text, and sends it once."""
        options = {"key": "id", "into": self.folder / name, "client": self.vertex.client} | options
        before = sum(self.vertex.paid().values())
        results = bk.run(table, SPEC, target=target, **options)
        assert sum(self.vertex.paid().values()) == before + len(self.rows) - 1
        return results

    def loaded(self, results: bk.Results, table: str) -> list[Row]:
        """What stands in BigQuery once the results are written there."""
        results.to_bigquery(self.address(table), client=self.vertex.client)
        return [dict(row) for row in self.bigquery.client.list_rows(f"{self.dataset}.{table}")]


def repeated(kind: str, model: str, request: Row) -> Row:
    """The whole request but its labels as the answer: what differs on a way shows in its result."""
    text = request["contents"][0]["parts"][0]["text"]
    if text.endswith(REFUSED):
        raise AnswerError(3, f"no answer to {text}")
    asked = {name: value for name, value in request.items() if name != "labels"}
    content = {"role": "model", "parts": [{"text": json.dumps(asked, sort_keys=True)}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": len(text), "totalTokenCount": len(text)},
        "modelVersion": f"{model}-{kind}",
    }


@pytest.fixture
def clouds(
    tmp_path: Path, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Clouds]:
    docstrings = pq.read_table("sample_data/pydocs.parquet")
    hostile = [
        {"id": key, "kind": "é", "signature": text, "text": text, "characters": number}
        for number, (key, text) in enumerate(HOSTILE.items())
    ]
    schema = pa.schema([pa.field(each.name, each.type) for each in docstrings.schema])
    table = pa.Table.from_pylist([*docstrings.to_pylist()[::40], *hostile], schema)
    pq.write_table(table, tmp_path / "pydocs.parquet")
    content = (tmp_path / "pydocs.parquet").read_bytes()
    with serve(buckets=["a-bucket"], answerer=repeated) as emulator:
        emulator.use_bigquery(bigquery.server)
        for name, value in (emulator.environment | bigquery.server.environment).items():
            monkeypatch.setenv(name, value)
        vertex = VertexService(emulator, quick_vertex(), "a-bucket")
        with emulator.storage.create(vertex.uri("pydocs.parquet")) as stream:
            stream.write(content)
        dataset = bigquery.new_dataset("us-central1")
        with (tmp_path / "pydocs.parquet").open("rb") as file:
            bigquery.client.load_table_from_file(
                file, f"{dataset}.pydocs", job_config=LoadJobConfig(source_format="PARQUET")
            ).result()
        yield Clouds(vertex, bigquery, dataset, table.to_pylist(), tmp_path)


def objects_to_table(clouds: Clouds) -> list[Row]:
    uri = clouds.vertex.uri
    results = clouds.run("objects", uri("pydocs.parquet"), uri("batches"))
    return clouds.loaded(results, "from_objects")


def table_to_table(clouds: Clouds) -> list[Row]:
    results = clouds.run("table", clouds.address("pydocs"), f"bq://{clouds.dataset}")
    return clouds.loaded(results, "from_table")


def within_bigquery(clouds: Clouds) -> list[Row]:
    target = f"bq://{clouds.dataset}"
    results = clouds.run("pushdown", clouds.address("pydocs"), target, pushdown=True)
    return clouds.loaded(results, "from_pushdown")


def table_to_parquet(clouds: Clouds) -> list[Row]:
    client = quick_client(clouds.vertex.emulator)
    results = clouds.run("file", clouds.address("pydocs"), "file", client=client)
    path = results.to_parquet(clouds.folder / "from_file.parquet", client=client)
    rows = pq.read_table(path).to_pylist()
    return [row | {"notes": row["notes"] or []} for row in rows]  # BigQuery has no null arrays


def by_key(rows: list[Row]) -> dict[str, Row]:
    """Tables of BigQuery have no order."""
    keyed = {row["id"]: row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def prompt(row: Row) -> str:
    signature = "no signature" if row["signature"] is None else row["signature"]
    return f"Explain {row['id']} ({row['characters']} characters, {signature}): {row['text']}"


def test_four_ways_give_the_same_rows(clouds: Clouds) -> None:
    ways = (objects_to_table, table_to_table, within_bigquery, table_to_parquet)
    tables = [by_key(way(clouds)) for way in ways]
    source = by_key(clouds.rows)
    for table in tables:
        assert table.keys() == source.keys()
        for key, row in table.items():
            assert row == tables[0][key]
            assert row | source[key] == row
    statuses = {key: row["status"] for key, row in tables[0].items() if row["status"] != "ok"}
    assert statuses == {"null": "rejected", "refused": "error"}
    assert tables[0]["refused"]["error_message"] == f"no answer to {prompt(source['refused'])}"
    for key in source.keys() - statuses:
        request = json.loads(tables[0][key]["response"])
        assert request["contents"][0]["parts"] == [{"text": prompt(source[key])}]
        assert request["systemInstruction"]["parts"] == [{"text": SYSTEM}]
        assert request["generationConfig"] == CONFIG
