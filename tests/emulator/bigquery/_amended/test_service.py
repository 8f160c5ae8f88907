from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import MethodNotImplemented
from google.cloud.bigquery import SchemaField, Table

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


def test_what_it_cannot_do_is_said_at_once(bigquery: Warehouse) -> None:
    """A server error would have the client ask again for ten minutes."""
    wide = Table(bigquery.table(), [SchemaField("x", "BIGNUMERIC")])
    with pytest.raises(MethodNotImplemented, match="the stand-in for BigQuery cannot do this"):
        bigquery.client.create_table(wide)
    assert bigquery.ask("SELECT 1 AS x") == [{"x": 1}]
