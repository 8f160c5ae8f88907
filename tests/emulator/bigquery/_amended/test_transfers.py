from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.cloud.bigquery import CopyJobConfig, SchemaField

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

SCHEMA = [SchemaField("x", "INTEGER"), SchemaField("j", "JSON")]


def test_a_table_is_copied_with_its_schema(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1, "j": [1]}], schema=SCHEMA)
    bigquery.client.copy_table(bigquery.table(), bigquery.table("copy")).result()
    assert bigquery.rows("copy") == [{"x": 1, "j": [1]}]
    types = [field.field_type for field in bigquery.client.get_table(bigquery.table("copy")).schema]
    assert types == ["INTEGER", "JSON"]


def test_a_copy_into_rows_is_a_conflict_unless_they_go(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=SCHEMA)
    bigquery.client.copy_table(bigquery.table(), bigquery.table("copy")).result()
    with pytest.raises(Conflict, match="Already Exists: Table"):
        bigquery.client.copy_table(bigquery.table(), bigquery.table("copy")).result()
    config = CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    bigquery.client.copy_table(bigquery.table(), bigquery.table("copy"), job_config=config).result()
    assert bigquery.rows("copy") == [{"x": 1, "j": None}]


def test_a_table_that_is_not_there_is_not_copied(bigquery: Warehouse) -> None:
    with pytest.raises(NotFound, match="Not found: Table"):
        bigquery.client.copy_table(bigquery.table(), bigquery.table("copy")).result()
