from __future__ import annotations

import hashlib
import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud.bigquery import ArrayQueryParameter

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

# Every character of the first two planes in words of 256, and what has a meaning somewhere on the
# way: in JSON, in SQL, in printf, in regular expressions, in CSV.
HOSTILE = [
    *("".join(map(chr, range(start, start + 256))) for start in range(0, 0xD800, 256)),
    *("".join(map(chr, range(start, start + 256))) for start in range(0xE000, 0x20000, 256)),
    *("", " ", "\0", "a\0b", "\r\n", "\u2028\u2029\x85", "e\u0301", "\ufeffx", "NULL", "null"),
    *(
        "'",
        '"',
        '\\"',
        "\\u0041",
        '{"a": [1]}',
        "$1 \\1 %s {x} {}",
        "-- x",
        "/* x */",
        "`x`",
        "a|b,c",
    ),
]


@pytest.mark.parametrize("sql, answer", [
    (r"'\x41\101\u00e9\U0001F600'", "AAé😀"),
    (r"'\\u00e9 \\\\x41'", r"\u00e9 \\x41"),
    (r"'\\\u00e9'", "\\é"),
    (r"'\x0a\x27\x22\x5c'", "\n'\"\\"),
    (r'"""a"\u0041"""', 'a"A'),
    (r"r'\u00e9'", r"\u00e9"),
    (r"'a' /* '\u00e9 */", "a"),
    ("'a' -- '\\u00e9\n", "a"),
    (r"""'\"' || "\'" || '\`\?'""", "\"'`?"),
    (r"'\a\b\f\n\r\t\v'", "\a\b\f\n\r\t\v"),
    ("'''a\n\\'b'''", "a\n'b"),
    (r"b'a\n'", b"a\n"),
    (r"(SELECT `\u0041` FROM (SELECT 'b' AS `\u0041`))", "b"),
])  # fmt: skip
def test_a_literal_is_what_its_escapes_say(bigquery: Warehouse, sql: str, answer: Any) -> None:
    assert bigquery.ask(f"SELECT {sql} AS x") == [{"x": answer}]


@pytest.mark.parametrize("sql, answer", [
    ("DIV(5 - 1, 2)", 2),
    ("DIV(7, 1 + 1) * 2", 6),
    ("20 - DIV(7, 2)", 17),
    ("FORMAT('%s', s)", "a"),
    ("FORMAT('<%s|%d>', s, 5)", "<a|5>"),
])  # fmt: skip
def test_a_function_keeps_its_operands(bigquery: Warehouse, sql: str, answer: Any) -> None:
    assert bigquery.ask(f"SELECT {sql} AS x FROM (SELECT 'a' AS s)") == [{"x": answer}]


@pytest.mark.parametrize("sql, read", [
    ("s", str),
    ("TO_JSON_STRING(s)", json.loads),
    ("JSON_VALUE(TO_JSON_STRING(STRUCT(s AS t)), '$.t')", str),
    ("TO_JSON_STRING(JSON_OBJECT('t', [s]))", lambda text: json.loads(text)["t"][0]),
    ("CONCAT('<', s, '>')", lambda text: text[1:-1]),
    ("REPLACE(CONCAT(s, 'é'), 'é', 'é')", lambda text: text[:-1]),
])  # fmt: skip
def test_any_text_goes_through_what_builds_requests(
    bigquery: Warehouse, sql: str, read: Any
) -> None:
    texts = ArrayQueryParameter("texts", "STRING", HOSTILE)
    asked = f"SELECT {sql} AS x FROM UNNEST(@texts) AS s WITH OFFSET AS n ORDER BY n"
    said = bigquery.ask(asked, query_parameters=[texts])
    assert [read(row["x"]) for row in said] == HOSTILE


def test_any_text_can_be_written_as_a_literal(bigquery: Warehouse) -> None:
    plain = set(string.ascii_letters + string.digits)
    literals = ["".join(c if c in plain else f"\\U{ord(c):08x}" for c in text) for text in HOSTILE]
    asked = ", ".join(f'"{literal}"' for literal in literals)
    said = bigquery.ask(f"SELECT s FROM UNNEST([{asked}]) AS s WITH OFFSET AS n ORDER BY n")
    assert [row["s"] for row in said] == HOSTILE


def test_a_hash_is_that_of_the_bytes(bigquery: Warehouse) -> None:
    texts = ArrayQueryParameter("texts", "STRING", HOSTILE)
    said = bigquery.ask(
        "SELECT TO_HEX(SHA256(s)) AS a, TO_HEX(MD5(s)) AS b, LENGTH(s) AS n "
        "FROM UNNEST(@texts) AS s WITH OFFSET AS i ORDER BY i",
        query_parameters=[texts],
    )
    assert said == [
        {
            "a": hashlib.sha256(text.encode()).hexdigest(),
            "b": hashlib.md5(text.encode()).hexdigest(),  # noqa: S324  # what SQL has
            "n": len(text),
        }
        for text in HOSTILE
    ]


def known_wrong() -> list[tuple[str, str, str]]:
    page = Path(__file__).parents[4] / "docs" / "emulator-bigquery.md"
    table = page.read_text("utf-8").partition("## What it answers wrongly")[2]
    rows = [line.strip("| ").split(" | ") for line in table.split("\n") if line.startswith("| `")]
    return [(sql.strip("`"), there.strip("`"), here.strip("`")) for sql, there, here in rows]


@pytest.mark.parametrize("sql, there, here", known_wrong())
def test_what_the_documentation_calls_wrong_is_wrong(
    bigquery: Warehouse, sql: str, there: str, here: str
) -> None:
    source = sql if " FROM " in sql else f"{sql} AS x"
    if here == "error":
        with pytest.raises(BadRequest):
            bigquery.ask(f"SELECT {source}")
        return
    (row,) = bigquery.ask(f"SELECT {source}")
    assert list(row.values()) == [json.loads(here)]
    assert json.loads(here) != json.loads(there)
