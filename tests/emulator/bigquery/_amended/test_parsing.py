from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import BadRequest

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


def test_a_statement_asked_again_reads_what_is_there_now(bigquery: Warehouse) -> None:
    sql = f"SELECT STRING_AGG(TO_JSON_STRING(a), ',' ORDER BY a) AS x FROM {bigquery.sql()}"
    bigquery.load([{"a": 1}])
    assert bigquery.ask(sql, use_query_cache=False) == [{"x": "1"}]
    bigquery.load([{"a": 2}])
    assert bigquery.ask(sql, use_query_cache=False) == [{"x": "1,2"}]


def test_a_statement_that_is_wrong_is_wrong_each_time(bigquery: Warehouse) -> None:
    for _ in range(2):
        with pytest.raises(BadRequest):
            bigquery.ask("SELECT (1")


@pytest.mark.parametrize("join", [", t.list AS one", "CROSS JOIN UNNEST(t.list) AS one"])
def test_a_list_of_a_row_is_joined_to_it(bigquery: Warehouse, join: str) -> None:
    rows = "SELECT 'a' AS name, [1, 2] AS list UNION ALL SELECT 'b', [3]"
    found = bigquery.ask(f"SELECT name, one FROM ({rows}) AS t {join} ORDER BY one")
    assert [(row["name"], row["one"]) for row in found] == [("a", 1), ("a", 2), ("b", 3)]
