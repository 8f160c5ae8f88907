from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud.bigquery import ExtractJobConfig, LoadJobConfig, SchemaField

from tests.emulator.bigquery.object_store import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.bigquery.object_store import ObjectStore
    from tests.warehouse import Warehouse

X = SchemaField("x", "INTEGER")
LINES = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[X])


@pytest.fixture
def store(bigquery: Warehouse) -> Iterator[ObjectStore]:
    with serving() as store:
        bigquery.server.use_storage(store.url)
        yield store


def test_objects_are_loaded_by_name_and_by_pattern(bigquery: Warehouse, store: ObjectStore) -> None:
    for number in range(5):
        store.objects[f"b/a folder/part-{number}.jsonl"] = b'{"x": %d}\n' % number
    store.objects["b/a folder/part-9.txt"] = b"not this one"
    store.objects["b/100%/é#1?.jsonl"] = b'{"x": 10}\n'
    uris = ["gs://b/a folder/part-*.jsonl", "gs://b/100%/é#1?.jsonl"]
    job = bigquery.client.load_table_from_uri(uris, bigquery.table(), job_config=LINES).result()
    assert (job.input_files, job.output_rows) == (6, 6)
    assert sorted(row["x"] for row in bigquery.rows()) == [0, 1, 2, 3, 4, 10]


def test_parquet_objects_are_loaded(bigquery: Warehouse, store: ObjectStore) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1], "s": ["a"]}), file)
    store.objects["b/rows"] = file.getvalue()
    config = LoadJobConfig(source_format="PARQUET")
    bigquery.client.load_table_from_uri("gs://b/rows", bigquery.table(), job_config=config).result()
    assert bigquery.rows() == [{"x": 1, "s": "a"}]


@pytest.mark.parametrize("uri", ["gs://b/absent.jsonl", "gs://b/absent-*.jsonl"])
def test_an_object_that_is_not_there_is_not_found(
    bigquery: Warehouse, store: ObjectStore, uri: str
) -> None:
    store.objects["b/other.jsonl"] = b'{"x": 1}\n'
    with pytest.raises(NotFound, match=r"(?i)Not found: uri"):
        bigquery.client.load_table_from_uri(uri, bigquery.table(), job_config=LINES).result()


def test_an_object_means_nothing_without_cloud_storage(bigquery: Warehouse) -> None:
    with pytest.raises(BadRequest, match="no Cloud Storage emulator was named"):
        bigquery.client.load_table_from_uri("gs://b/x", bigquery.table()).result()


@pytest.mark.parametrize("uri", ["/etc/passwd", "file:///etc/passwd", "gs://b", "gs://b/*/*"])
@pytest.mark.usefixtures("store")
def test_what_is_no_object_is_refused(bigquery: Warehouse, uri: str) -> None:
    with pytest.raises(BadRequest, match="Invalid source or destination URI"):
        bigquery.client.load_table_from_uri(uri, bigquery.table(), job_config=LINES).result()


def test_a_table_is_extracted_to_objects(bigquery: Warehouse, store: ObjectStore) -> None:
    bigquery.load([{"x": 1}, {"x": 2}], schema=[X])
    job = bigquery.client.extract_table(
        bigquery.table(),
        "gs://b/out/part-*.parquet",
        job_config=ExtractJobConfig(destination_format="PARQUET"),
    ).result()
    assert job.destination_uri_file_counts == [1]
    content = io.BytesIO(store.objects["b/out/part-000000000000.parquet"])
    assert pq.read_table(content).to_pylist() == [{"x": 1}, {"x": 2}]


def test_extracted_lines_are_packed_as_asked(bigquery: Warehouse, store: ObjectStore) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    config = ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON", compression="GZIP")
    bigquery.client.extract_table(bigquery.table(), "gs://b/x", job_config=config).result()
    assert gzip.decompress(store.objects["b/x"]) == b'{"x":1}\n'


def test_a_table_that_is_not_there_is_not_extracted(
    bigquery: Warehouse, store: ObjectStore
) -> None:
    with pytest.raises(NotFound, match="Not found: Table"):
        bigquery.client.extract_table(bigquery.table(), "gs://b/out").result()
    assert store.objects == {}


def test_rows_are_exported_by_a_statement(bigquery: Warehouse, store: ObjectStore) -> None:
    options = "uri = 'gs://b/e-*.jsonl', format = 'JSON', overwrite = {}"
    export = f"EXPORT DATA OPTIONS ({options}) AS SELECT 1 AS x"
    bigquery.ask(export.format("false"))
    assert store.objects == {"b/e-000000000000.jsonl": b'{"x":1}\n'}
    with pytest.raises(BadRequest, match="already exists"):
        bigquery.ask(export.format("false"))
    bigquery.ask(export.format("true"))
