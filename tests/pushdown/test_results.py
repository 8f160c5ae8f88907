from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.bigquery import QueryJobConfig, SchemaField

import batchkit as bk
from batchkit.errors import TableError
from batchkit.layout import Layout
from batchkit.pushdown.columns import Columns
from batchkit.pushdown.decoding import TOKENS
from batchkit.pushdown.outcomes import OUTCOME_COLUMNS, answers_sql
from batchkit.pushdown.requests import Source, requests_sql
from batchkit.pushdown.results import (
    IN_ORDER,
    Sent,
    Silence,
    balance_sql,
    job_requests_sql,
    result_sql,
)
from batchkit.wire import decode_item

if TYPE_CHECKING:
    from tests.conftest import VertexService
    from tests.warehouse import Warehouse

MODEL = "gemini-3.5-flash"
FIELDS = [{"name": "id", "type": "INT64"}, {"name": "text", "type": "STRING"}]
COLUMNS = Columns(FIELDS)
NO_TOKENS = dict.fromkeys(TOKENS, 0)
SPEC = bk.generate(MODEL, "Say {text}")


def generated(text: str) -> str:
    parts = [{"text": text}]
    return json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})


class Place:
    """A source, and the tables of a run in the same dataset, by the names SQL gives them."""

    def __init__(self, bigquery: Warehouse, dataset: str, rows: list[dict[str, Any]]) -> None:
        self._bigquery = bigquery
        self._dataset = dataset
        self.load(rows, "source", FIELDS)
        source = Source(self.sql("source"), COLUMNS)
        self.put("built", requests_sql(source, SPEC, ("id",)))

    def path(self, name: str) -> str:
        return f"{self._dataset}.{name}"

    def sql(self, name: str) -> str:
        return f"`{self.path(name)}`"

    def load(self, rows: list[dict[str, Any]], name: str, fields: list[dict[str, Any]]) -> None:
        from google.cloud.bigquery import LoadJobConfig  # noqa: PLC0415

        schema = [SchemaField(field["name"], field["type"]) for field in fields]
        self._bigquery.client.load_table_from_json(
            rows, self.path(name), job_config=LoadJobConfig(schema=schema)
        ).result()

    def put(self, name: str, sql: str) -> None:
        """Write what a query gives into a table, as a run does."""
        config = QueryJobConfig(destination=self.path(name))
        self._bigquery.client.query(sql, job_config=config).result()

    def rows(self, name: str) -> list[dict[str, Any]]:
        found: Any = self._bigquery.client.list_rows(self.path(name))
        return [dict(row) for row in found]

    def answer(self, rows: list[dict[str, Any]]) -> None:
        names = ("key", "response", "status")
        self.load(rows, "answers", [{"name": name, "type": "STRING"} for name in names])

    @property
    def answers(self) -> str:
        return answers_sql(self.sql("answers"), "STRING")

    def result(
        self, *silences: Silence, layout: Layout | None = None, schema: Any = None
    ) -> list[dict[str, Any]]:
        given = (self.sql("built"), self.answers, COLUMNS, layout or Layout())
        sql = result_sql(*given, silences=silences, schema=schema)
        return self._bigquery.ask(sql + IN_ORDER)

    def balance(self, *silences: Silence, schema: Any = None) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {"status": {}, "lines": {}, "tokens": {}}
        given = (self.sql("built"), self.answers)
        for row in self._bigquery.ask(balance_sql(*given, silences=silences, schema=schema)):
            found[row["what"]][row["name"]] = row["number"]
        return found


def test_each_row_comes_once_whatever_became_of_it(bigquery: Warehouse) -> None:
    texts = ["zero", None, "two", "three", "four", "five"]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    place = Place(bigquery, bigquery.dataset, rows)
    place.answer(
        [
            {"key": "0", "response": generated("A"), "status": ""},
            {"key": "0", "response": generated("A"), "status": ""},
            {"key": "2", "response": generated("B"), "status": ""},
            {"key": "2", "response": generated("C"), "status": ""},
            {"key": "1", "response": generated("to nobody"), "status": ""},
            {"key": "99", "response": generated("to nobody"), "status": ""},
            {"key": None, "response": generated("to nobody"), "status": ""},
            {"key": "3", "response": None, "status": "INTERNAL"},
        ]
    )
    silence = Silence(0, 5, "missing", "LOST", "it's gone")
    found = place.result(silence)
    names = ("id", "text", "response", "status", "error_code", "error_message")
    reason = "$.request.contents[0].parts[0].text: column 'text' is null: give a default, {text??…}"
    conflict = "the service gave differing answers to one key"
    assert [tuple(row[name] for name in names) for row in found] == [
        (0, "zero", "A", "ok", None, None),
        (1, None, None, "rejected", "REJECTED", reason),
        (2, "two", None, "error", "CONFLICT", conflict),
        (3, "three", None, "error", "INTERNAL", "INTERNAL"),
        (4, "four", None, "missing", "LOST", "it's gone"),
        (5, "five", None, "pending", None, None),
    ]
    assert list(found[0]) == ["id", "text", *OUTCOME_COLUMNS]
    assert place.balance(silence) == {
        "status": {"ok": 1, "rejected": 1, "error": 2, "missing": 1, "pending": 1},
        "lines": {"joined": 3, "repeated": 1, "conflict": 1, "unknown": 2, "unkeyed": 1},
        "tokens": NO_TOKENS,
    }


def test_a_run_without_an_answer_yet_is_pending(bigquery: Warehouse) -> None:
    place = Place(bigquery, bigquery.dataset, [{"id": 7, "text": "a"}])
    place.answer([])
    (row,) = place.result(layout=Layout(prefix="gemini_"))
    assert list(row) == ["id", "text", *(f"gemini_{name}" for name in OUTCOME_COLUMNS)]
    assert row["gemini_status"] == "pending"
    nothing = {"joined": 0, "repeated": 0, "conflict": 0, "unknown": 0, "unkeyed": 0}
    assert place.balance() == {"status": {"pending": 1}, "lines": nothing, "tokens": NO_TOKENS}


# What its own library tells google-cloud-bigquery.
@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
def test_a_table_goes_through_a_job_and_no_row_through_the_client(
    vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    vertex.emulator.use_bigquery(bigquery.server)
    texts = ["hi", None, 'a "quote" \\ and {brace}', "line\nbreak \u2028 😀", "ünï", "x" * 500]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    place = Place(bigquery, bigquery.new_dataset("us-central1"), rows)
    place.put("requests", job_requests_sql(place.sql("built"), 0, len(rows)))
    job = vertex.client.batches.create(
        MODEL,
        bigquery_uri=f"bq://{place.path('requests')}",
        destination=f"bq://{place.path('answers')}",
    )
    vertex.client.batches.wait(job)
    decoded = {row["key"]: decode_item(row) for row in place.rows("answers")}
    assert decoded.keys() == {"0", "2", "3", "4", "5"}
    found = place.result(Silence(0, len(rows), "missing", None, None))
    assert [row["text"] for row in found] == texts
    for row in found:
        said = decoded.get(str(row["id"]))
        if said is None:
            assert (row["id"], row["status"]) == (1, "rejected")
        else:
            assert said.status == "ok"
            assert str(said.text).startswith("Echo: Say")
            assert row["response"] == said.text
            assert (row["status"], row["total_tokens"]) == (said.status, said.total_tokens)
            assert (row["model_version"], row["notes"]) == (said.model_version, list(said.notes))
    assert place.balance()["status"] == {"ok": 5, "rejected": 1}


def test_a_job_s_table_holds_the_rows_of_its_range_that_have_requests(bigquery: Warehouse) -> None:
    rows = [{"id": n, "text": None if n == 2 else f"t{n}"} for n in range(5)]
    place = Place(bigquery, bigquery.dataset, rows)
    found = bigquery.ask(job_requests_sql(place.sql("built"), 1, 4))
    assert sorted(row["key"] for row in found) == ["1", "3"]
    assert all(list(row) == ["key", "request"] for row in found)
    assert {json.loads(row["request"])["contents"][0]["parts"][0]["text"] for row in found} == {
        "Say t1",
        "Say t3",
    }


def test_a_column_that_is_ours_already_is_refused_whatever_its_case() -> None:
    columns = Columns([{"name": "id", "type": "INT64"}, {"name": "Status", "type": "STRING"}])
    with pytest.raises(TableError, match="the table has a column 'Status'"):
        result_sql("t", "SELECT 1", columns, Layout(), silences=())
    assert "`g_status`" in result_sql("t", "SELECT 1", columns, Layout(prefix="g_"), silences=())


def test_rows_tell_which_job_they_were_sent_with_and_what_came_back(bigquery: Warehouse) -> None:
    texts = ["zero", None, "two", "three", "four", "five"]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    place = Place(bigquery, bigquery.dataset, rows)
    place.answer(
        [
            {"key": "0", "response": generated("A"), "status": ""},
            {"key": "3", "response": "no json", "status": "INTERNAL"},
            {"key": "4", "response": "no json", "status": ""},
        ]
    )
    first = Silence(0, 3, "missing", None, None, Sent("jobs/1", "00000", 1))
    second = Silence(3, 5, "missing", None, None, Sent("jobs/it's", "00001", 2))
    layout = Layout(prefix="g_", provenance=True, raw=True)
    found = place.result(first, second, layout=layout)
    names = ("job", "shard", "attempt", "request_hash", "answered_by", "raw")
    assert list(found[0])[-6:] == [f"g_{name}" for name in names]
    one, other = ("jobs/1", "00000", 1, None, "job"), ("jobs/it's", "00001", 2, None, "job")
    nowhere = (None,) * 5
    assert [tuple(row[f"g_{name}"] for name in names) for row in found] == [
        (*one, generated("A")),
        (*nowhere, None),
        (*one, None),
        (*other, '"no json"'),
        (*other, '"no json"'),
        (*nowhere, None),
    ]
    pending = place.result(layout=layout)
    assert {row[f"g_{name}"] for row in pending for name in names[:5]} == {None}


FITTED = bk.generate(
    MODEL,
    "Say {text}",
    schema={
        "type": "object",
        "properties": {"mood": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["mood"],
    },
).answer_schema


def test_answers_by_schema_are_columns_or_a_struct(bigquery: Warehouse) -> None:
    rows = [{"id": number, "text": text} for number, text in enumerate(["a", "b", None, "d"])]
    place = Place(bigquery, bigquery.dataset, rows)
    place.answer(
        [
            {"key": "0", "response": generated('{"mood": "glad", "n": 2.0}'), "status": ""},
            {"key": "1", "response": generated('{"mood": "glad", "n": "2"}'), "status": ""},
        ]
    )
    flat = place.result(layout=Layout(prefix="g_"), schema=FITTED)
    assert list(flat[0])[2:6] == ["g_response", "g_mood", "g_n", "g_status"]
    assert [(row["g_mood"], row["g_n"], row["g_status"]) for row in flat] == [
        ("glad", 2, "ok"),
        (None, None, "malformed"),
        (None, None, "rejected"),
        (None, None, "pending"),
    ]
    whole = place.result(layout=Layout(flatten=False), schema=FITTED)
    assert list(whole[0])[2:5] == ["response", "answer", "status"]
    assert [row["answer"] for row in whole] == [{"mood": "glad", "n": 2}, None, None, None]
    assert place.balance(schema=FITTED)["status"] == {
        "ok": 1,
        "malformed": 1,
        "rejected": 1,
        "pending": 1,
    }


def test_a_field_that_is_another_column_whatever_its_case_is_refused() -> None:
    def made(layout: Layout, *names: str) -> str:
        properties = {name: {"type": "string"} for name in names}
        spec = bk.generate(MODEL, "{text}", schema={"type": "object", "properties": properties})
        given = ("t", "SELECT 1", COLUMNS, layout)
        return result_sql(*given, silences=(), schema=spec.answer_schema)

    with pytest.raises(TableError, match="the schema has a field 'Status'"):
        made(Layout(), "Status")
    with pytest.raises(TableError, match="the table has a column 'text'"):
        made(Layout(), "Text")
    assert "AS `answer`" in made(Layout(flatten=False), "Status", "Text")
