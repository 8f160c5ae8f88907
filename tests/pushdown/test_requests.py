from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from google.cloud.bigquery import SchemaField
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.errors import CapabilityError, RowsError, TableError, TemplateError
from batchkit.key import BAD_KEYS, bad_keys, wire_keys
from batchkit.lines import LineEncoder
from batchkit.pushdown.columns import Columns
from batchkit.pushdown.requests import OWN_COLUMNS, Source, bad_keys_sql, requests_sql
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.specs.spec import Spec
    from tests.warehouse import Warehouse

MODEL = "gemini-2.5-flash"
KINDS = {"id": "INT64", "name": "STRING", "n": "INT64", "b": "BOOL", "d": "DATE", "m": "NUMERIC"}
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("n", pa.int64()),
        ("b", pa.bool_()),
        ("d", pa.date32()),
        ("m", pa.decimal128(38, 9)),
    ]
)
# bqemulator refuses a NUL in the JSON of a load job, so one stands in a test of its own.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
HOSTILE = [
    "",
    " ",
    '"',
    "\\",
    '\\"',
    "\\u0041",
    "'",
    "''",
    "`",
    "{",
    "}",
    "{}",
    "{name}",
    "{{",
    "null",
    "\n\r\t\b\f",
    "\x01\x1f\x7f\x80\x9f",
    "\u2028\u2029\ufeff\ufffd\uffff",
    "😀👩\u200d👩\u200d👧",
    "e\u0301é",
    "שלום\u202e",
    "<script>&amp;</script>",
    "-- x\n/* */; DROP TABLE t",
    "%s %d %%",
    "$1 \\1",
    "@param ?",
]


def columns(**kinds: str) -> Columns:
    return Columns([{"name": name, "type": kind} for name, kind in (kinds or KINDS).items()])


def written(value: Any) -> Any:
    """A value as a load job reads it."""
    is_plain = value is None or isinstance(value, int | str)
    return value if is_plain else str(value)


def by_sql(
    bigquery: Warehouse, rows: list[dict[str, Any]], spec: Spec, key: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The rows as SQL numbers them, in their order."""
    lines = [{name: written(value) for name, value in row.items()} for row in rows]
    schema = [SchemaField(name, kind) for name, kind in KINDS.items()]
    bigquery.load(lines, schema=schema, write_disposition="WRITE_TRUNCATE")
    found = bigquery.ask(requests_sql(Source(bigquery.sql(), columns()), spec, key))
    assert len(found) == len(rows)
    found.sort(key=lambda row: row["batchkit_row"])
    assert [row["batchkit_row"] for row in found] == list(range(len(rows)))
    return found


def by_builder(
    rows: list[dict[str, Any]], spec: Spec, key: tuple[str, ...], folder: Path
) -> list[tuple[Any, ...]]:
    """Key, request, path and reason that the local builder gives rows in this order."""
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    dialect = dialect_for("vertex", "generate", MODEL, table=True)
    bound = spec.bind(SCHEMA, dialect)
    encoder = LineEncoder(bound, dialect, key, (), SCHEMA, 10**9)
    names = wire_keys([batch.column(name) for name in key])
    bad = pa.Table.from_batches(bad_keys(lambda: iter([(0, names)]), folder), BAD_KEYS)
    encoded = encoder.encode(batch, 0, bad)
    problems = {row["row"]: (row["path"], row["reason"]) for row in encoded.rejected.to_pylist()}
    told: list[tuple[Any, ...]] = []
    for number, line in enumerate(encoded.lines.to_pylist()):
        item = json.loads(line) if line else {"key": None, "request": None}
        told.append((read(item["key"], key), item["request"], *problems.get(number, (None, None))))
    return told


def read(name: str | None, key: tuple[str, ...]) -> Any:
    """A key to be compared: that of several columns is JSON, which may be escaped otherwise."""
    return json.loads(name) if name is not None and len(key) > 1 else name


def assert_equal_requests(
    bigquery: Warehouse,
    rows: list[dict[str, Any]],
    spec: Spec,
    folder: Path,
    *,
    key: tuple[str, ...] = ("id",),
) -> None:
    found = by_sql(bigquery, rows, spec, key)
    source = [{name: row[name] for name in KINDS} for row in found]
    said = [
        (
            read(row["batchkit_key"], key) if row["batchkit_request"] else None,
            json.loads(row["batchkit_request"]) if row["batchkit_request"] else None,
            row["batchkit_path"],
            row["batchkit_reason"],
        )
        for row in found
    ]
    assert said == by_builder(source, spec, key, folder)


def row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "name": None, "n": None, "b": None, "d": None, "m": None, **values}


def test_hostile_text_is_the_same_request_row_by_row(bigquery: Warehouse, tmp_path: Path) -> None:
    rows = [row(number, name=text) for number, text in enumerate([*HOSTILE, None])]
    system = "".join(HOSTILE)
    for prompt in ("{name}", 'it\'s "{name}" \\ {{ {name??\'"\\none} }}\n\u2028\x01'):
        spec = bk.generate(MODEL, prompt, system=system, config={"temperature": 0.1, "seed": 7})
        assert_equal_requests(bigquery, rows, spec, tmp_path)


def test_a_nul_in_text_is_the_same_request(bigquery: Warehouse, tmp_path: Path) -> None:
    rows = [row(0, name="a\0b"), row(1, name="\0"), row(2, name="\\u0000")]
    assert_equal_requests(bigquery, rows, bk.generate(MODEL, "\0{name}"), tmp_path)


def test_values_at_their_limits_are_the_same_request(bigquery: Warehouse, tmp_path: Path) -> None:
    most = decimal.Decimal("99999999999999999999999999999.999999999")
    least = decimal.Decimal("0.000000001")
    rows = [
        row(0, n=2**63 - 1, b=True, d=dt.date(9999, 12, 31), m=most),
        row(1, n=-(2**63), b=False, d=dt.date(1, 1, 1), m=most.copy_negate()),
        row(2, n=0, b=True, d=dt.date(1970, 1, 1), m=decimal.Decimal(0)),
        row(3, n=-1, b=False, d=dt.date(999, 2, 28), m=least),
        row(4, n=10, b=False, d=dt.date(2024, 2, 29), m=-least),
        row(5, n=10, b=False, d=dt.date(2024, 2, 29), m=decimal.Decimal("12.50")),
    ]
    assert_equal_requests(bigquery, rows, bk.generate(MODEL, "{n} {b} {d} {m}"), tmp_path)


def test_nulls_reject_the_row_unless_there_is_a_default(
    bigquery: Warehouse, tmp_path: Path
) -> None:
    rows = [row(0), row(1, name="a"), row(2, n=1), row(3, name="a", n=1), row(4, name="", n=1)]
    for prompt in ("{name}{n}", "{name??}{n}", "{name??}", "{n??none} {name}", "constant"):
        assert_equal_requests(bigquery, rows, bk.generate(MODEL, prompt), tmp_path)


def test_bad_keys_are_found_with_their_reasons(bigquery: Warehouse, tmp_path: Path) -> None:
    names = [None, "", "a", "a", "b", "a\0", None, "\\u0000", "A"]
    rows = [row(number, name=name, n=1) for number, name in enumerate(names)]
    spec = bk.generate(MODEL, "{n}")
    assert_equal_requests(bigquery, rows, spec, tmp_path, key=("name",))
    built = requests_sql(Source(bigquery.sql(), columns()), spec, ("name",))
    found = bigquery.ask(bad_keys_sql(f"({built})", 20))
    assert [(bad["key"], bad["reason"]) for bad in found] == [
        (None, "the key is null"),
        (None, "the key is null"),
        ("", "the key is empty text"),
        ("a", f"repeats the key of row {found[3]['row'] - 1}"),
        ("a\0", "the key holds a NUL character"),
    ]
    assert {bad["total"] for bad in found} == {5}
    first = bigquery.ask(bad_keys_sql(f"({built})", 2))
    assert [bad["row"] for bad in first] == [bad["row"] for bad in found[:2]]
    assert {bad["total"] for bad in first} == {5}


def test_keys_of_several_columns_are_the_same(bigquery: Warehouse, tmp_path: Path) -> None:
    day, price = dt.date(2024, 2, 29), decimal.Decimal("1.5")
    rows = [row(i, name=text, n=-1, b=True, d=day, m=price) for i, text in enumerate(HOSTILE)]
    rows += [row(98, n=1), row(99, name="a", n=1, b=True, d=day)]
    spec, key = bk.generate(MODEL, "{id}"), ("name", "n", "b", "d", "m")
    assert_equal_requests(bigquery, rows, spec, tmp_path, key=key)


def test_the_table_s_own_columns_follow_ours(bigquery: Warehouse) -> None:
    found = by_sql(bigquery, [row(0, name="a")], bk.generate(MODEL, "{name}"), ("id",))
    assert list(found[0]) == [*OWN_COLUMNS, *KINDS]


def test_a_request_is_spliced_into_every_part_of_the_spec(
    bigquery: Warehouse, tmp_path: Path
) -> None:
    spec = bk.generate(
        MODEL,
        "{name}",
        schema={"type": "object", "properties": {"it's": {"type": "string"}}},
        safety={"harassment": "BLOCK_NONE"},
        config={"stopSequences": HOSTILE[2:7], "temperature": 1e-7, "topP": 1.0},
    )
    assert_equal_requests(bigquery, [row(0, name="a")], spec, tmp_path)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT | st.none(), min_size=20, max_size=40), constants=st.tuples(TEXT, TEXT))
def test_any_text_is_the_same_request(
    bigquery: Warehouse, tmp_path: Path, texts: list[str | None], constants: tuple[str, str]
) -> None:
    doubled = constants[0].replace("{", "{{").replace("}", "}}")
    default = constants[1].replace("{", "").replace("}", "")
    rows = [row(number, name=text) for number, text in enumerate(texts)]
    spec = bk.generate(MODEL, f"{doubled}{{name}}{{name??{default}}}")
    assert_equal_requests(bigquery, rows, spec, tmp_path)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT64", "TIMESTAMP", "DATETIME", "TIME", "JSON"])
def test_a_type_whose_text_sql_writes_otherwise_is_refused(kind: str) -> None:
    source = Source("`p.d.t`", columns(id="STRING", x=kind))
    with pytest.raises(CapabilityError, match=r"column 'x' is .*cast it in a query first"):
        requests_sql(source, bk.generate(MODEL, "{x}"), ("id",))
    with pytest.raises(CapabilityError, match="run without pushdown"):
        requests_sql(source, bk.generate(MODEL, "{id}"), ("x",))
    assert requests_sql(source, bk.generate(MODEL, "{id}"), ("id",))


def test_a_repeated_column_is_refused() -> None:
    fields = [{"name": "id", "type": "STRING"}, {"name": "x", "type": "STRING", "mode": "REPEATED"}]
    with pytest.raises(CapabilityError, match="column 'x' is ARRAY"):
        requests_sql(Source("t", Columns(fields)), bk.generate(MODEL, "{x}"), ("id",))


@pytest.mark.parametrize(
    "spec, said",
    [
        (bk.generate(MODEL, "{n:05d}"), "SQL has no Python formats"),
        (bk.generate(MODEL, str, version="1"), "a function of a row runs in Python"),
        (bk.embed("gemini-embedding-001", "{name}"), "pushdown is for generate specs"),
    ],
)
def test_what_needs_python_is_refused(spec: Spec, said: str) -> None:
    with pytest.raises(CapabilityError, match=said):
        requests_sql(Source("`p.d.t`", columns()), spec, ("id",))


def test_a_table_that_does_not_fit_is_refused() -> None:
    spec = bk.generate(MODEL, "{name}")
    named = Source("`p.d.t`", columns(id="STRING", name="STRING", Batchkit_row="INT64"))
    with pytest.raises(TableError, match="names that begin with batchkit_ are ours"):
        requests_sql(named, spec, ("id",))
    source = Source("`p.d.t`", columns())
    with pytest.raises(TableError, match="no key column 'nope'"):
        requests_sql(source, spec, ("nope",))
    with pytest.raises(TableError, match="pushdown needs key="):
        requests_sql(source, spec, ())
    with pytest.raises(TemplateError, match=r"did you mean \{name\}"):
        requests_sql(source, bk.generate(MODEL, "{nam}"), ("id",))
    with pytest.raises(RowsError, match="is no name of a column"):
        requests_sql(Source("t", columns(**{"a`b": "STRING"})), bk.generate(MODEL, "a"), ("a`b",))
