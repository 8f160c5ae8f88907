from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchkit as bk
from tests.shard import Shard

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "gemini-3.8-flash"


def built(folder: Path, spec: Any = None, rows: int = 4, **options: Any) -> Shard:
    """Rows a, b, c … that ask for something each."""
    table = [{"id": name(i), "text": f"text {i}"} for i in range(rows)]
    asked = spec or bk.generate(MODEL, "{text}")
    run = bk.build(table, asked, key="id", into=folder / "run", target="file", **options)
    return Shard(run.folder)


def name(row: int) -> str:
    return chr(ord("a") + row) if row < 26 else f"r{row}"


def answered(key: Any, text: str, reason: str = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": reason}
    return {"key": key, "response": {"candidates": [candidate]}}


def test_answers_stand_in_source_order_whatever_the_order_of_the_lines(tmp_path: Path) -> None:
    shard = built(tmp_path)
    lines = [answered(key, key.upper()) for key in "dbac"]
    assert shard.collect(lines) == {"lines": {"joined": 4}, "statuses": {"ok": 4}}
    assert [(row["row"], row["response"]) for row in shard.rows()] == [
        (0, "A"),
        (1, "B"),
        (2, "C"),
        (3, "D"),
    ]
    assert not (shard.folder / "outcomes" / "00000-1.quarantine.jsonl").exists()


@pytest.mark.parametrize("lines", [None, []], ids=["no file", "an empty file"])
def test_without_a_line_every_row_gets_the_verdict(tmp_path: Path, lines: list[Any] | None) -> None:
    shard = built(tmp_path)
    assert shard.collect(lines) == {"lines": {}, "statuses": {"missing": 4}}
    row = shard.rows()[2]
    assert (row["status"], row["error_code"], row["error_message"]) == (
        "missing",
        "GONE",
        "no line for this key",
    )
    assert row["response"] is None


def test_a_row_that_asked_nothing_has_no_outcome_of_a_job(tmp_path: Path) -> None:
    table = [{"id": "a", "text": "x"}, {"id": "b", "text": None}, {"id": "c", "text": "z"}]
    run = bk.build(table, bk.generate(MODEL, "{text}"), key="id", into=tmp_path / "run")
    shard = Shard(run.folder)
    assert shard.collect([answered("c", "C"), answered("b", "B")]) == {
        "lines": {"joined": 1, "unknown": 1},
        "statuses": {"ok": 1, "missing": 1},
    }
    assert [(row["row"], row["status"]) for row in shard.rows()] == [(0, "missing"), (2, "ok")]


def test_each_line_that_fits_no_row_is_kept_with_its_place_and_reason(tmp_path: Path) -> None:
    shard = built(tmp_path)
    lines = [
        answered("a", "A"),
        answered("stranger", "S"),
        {"response": {}},
        b'{"key":"b","resp',
        b'{"key":"b"\xff}',
        b"[1]",
        {"key": "stranger", "response": "of another type"},
        answered(7, "an integer"),
        answered(None, "none"),
        answered("A", "another case"),
        answered("a ", "a space"),
    ]
    assert shard.collect(lines) == {
        "lines": {"joined": 1, "unknown": 5, "unkeyed": 5},
        "statuses": {"ok": 1, "missing": 3},
    }
    aside = shard.aside()
    assert [(kept["line"], kept["key"], kept["reason"].partition(":")[0]) for kept in aside] == [
        (2, "stranger", "no row has this key"),
        (3, None, "the line carries no key"),
        (4, None, "not JSON"),
        (5, None, "not JSON"),
        (6, None, "the line is not a JSON object"),
        (7, "stranger", "no row has this key"),
        (8, "7", "no row has this key"),
        (9, None, "the line carries no key"),
        (10, "A", "no row has this key"),
        (11, "a ", "no row has this key"),
    ]
    assert {kept["file"] for kept in aside} == {"responses/00000-1.jsonl"}
    assert [kept["text"] for kept in aside[2:4]] == ['{"key":"b","resp', '{"key":"b"\ufffd}']


def test_all_lines_of_a_key_with_differing_answers_are_kept_and_none_is_joined(
    tmp_path: Path,
) -> None:
    shard = built(tmp_path)
    malformed = {"key": "b", "response": "of another type"}
    lines = [answered("b", "1"), answered("a", "A"), malformed, answered("b", "1")]
    counts = shard.collect(lines)
    assert counts["lines"] == {"joined": 2, "conflict": 1, "repeated": 1}
    row = shard.rows()[1]
    assert (row["status"], row["error_code"], row["response"]) == ("error", "CONFLICT", None)
    kept = [(entry["line"], entry["key"], entry["reason"]) for entry in shard.aside()]
    assert kept == [(line, "b", "two answers differ") for line in (1, 3, 4)]


def test_a_later_collect_leaves_no_lines_aside_that_fit_now(tmp_path: Path) -> None:
    shard = built(tmp_path)
    shard.collect([answered("stranger", "S")])
    assert shard.aside()
    shard.collect([answered("a", "A")])
    assert not (shard.folder / "outcomes" / "00000-1.quarantine.jsonl").exists()
    assert Counter(row["status"] for row in shard.rows()) == {"ok": 1, "missing": 3}


def test_a_malformed_line_with_a_key_is_its_row_s(tmp_path: Path) -> None:
    shard = built(tmp_path)
    shard.collect([{"key": "a", "response": {"candidates": "none"}}])
    row = shard.rows()[0]
    assert (row["status"], row["error_message"]) == (
        "malformed",
        "candidates are not a list of objects",
    )


def test_what_came_back_is_kept_untouched_when_asked_for(tmp_path: Path) -> None:
    shard = built(tmp_path, raw=True)
    shard.collect([answered("a", "A"), {"key": "b", "error": {"code": 13}}])
    first, second, *_ = shard.rows()
    assert json.loads(first["raw"]) == answered("a", "A")["response"]
    assert second["raw"] is None


LINE = st.one_of(
    st.builds(answered, st.sampled_from(["a", "b", "c", "x", None]), st.sampled_from(["1", "2"])),
    st.sampled_from(
        [
            {"key": "a", "error": {"code": 8, "message": "quota"}},
            {"key": "b", "response": {"promptFeedback": {"blockReason": "SAFETY"}}},
            {"key": "c", "response": None},
            answered("d", "half", "MAX_TOKENS"),
            {"metadata": {"key": "d"}, "response": 5},
            {"nothing": "known"},
        ]
    ),
    st.sampled_from([b'{"key":"a"', b"\xff", b"null", b"{}", b" "]),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    return built(tmp_path_factory.mktemp("collecting"))


@settings(deadline=None, max_examples=60)
@given(lines=st.lists(LINE, max_size=12), data=st.data())
def test_every_row_has_one_status_and_the_order_of_the_lines_means_nothing(
    shared: Shard, lines: list[Any], data: st.DataObject
) -> None:
    counts = shared.collect(lines)
    rows = shared.rows()
    assert [row["row"] for row in rows] == [0, 1, 2, 3]
    assert Counter(row["status"] for row in rows) == counts["statuses"]
    present = [line for line in lines if line != b" "]
    assert sum(counts["lines"].values()) == len(present)
    for row, key in zip(rows, "abcd", strict=True):
        named = [line for line in present if isinstance(line, dict) and key in str(line.get("key"))]
        others = [line for line in present if isinstance(line, dict) and "metadata" in line]
        said = {json.dumps(line) for line in named + (others if key == "d" else [])}
        assert (row["status"] == "missing") == (not said)
        assert (row["error_code"] == "CONFLICT") == (len(said) > 1)
    assert shared.collect(data.draw(st.permutations(lines)), 2) == counts
    assert shared.rows(2) == rows


SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["happy", "sad"]},
        "score": {"type": ["integer", "null"]},
        "seller": {"type": "object", "properties": {"name": {"type": "string"}}},
        "extra": {},
    },
    "required": ["mood"],
}


@pytest.mark.parametrize(
    "text, answer",
    [
        ('{"mood":"sad"}', {"mood": "sad", "score": None, "seller": None, "extra": None}),
        (
            ' {"extra":{"b":[1,null]},"seller":{"name":"é"},"score":3.0,"mood":"sad","new":1}\n',
            {"mood": "sad", "score": 3, "seller": {"name": "é"}, "extra": '{"b":[1,null]}'},
        ),
        (
            '{"mood":"sad","seller":{"name":"\\ud83d"}}',
            {"mood": "sad", "score": None, "seller": {"name": "\ufffd"}, "extra": None},
        ),
    ],
    ids=["least", "most", "half an emoji"],
)
def test_an_answer_that_fits_the_schema_has_its_columns(
    tmp_path: Path, text: str, answer: dict[str, Any]
) -> None:
    shard = built(tmp_path, bk.generate(MODEL, "{text}", schema=SCHEMA))
    shard.collect([answered("a", text)])
    row = shard.rows()[0]
    assert (row["status"], row["response"], row["answer"]) == ("ok", text, answer)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("I am sad", "the answer is not JSON"),
        ('```json\n{"mood":"sad"}\n```', "the answer is not JSON"),
        ('{"mood":"sad"', "the answer is not JSON"),
        ('{"mood":"sad"} and more', "the answer is not JSON"),
        ('{"mood":"sad","extra":NaN}', "the answer is not JSON"),
        ('{"extra":"\\ud83d",' + '"a":[' * 50_000, "the answer is not JSON"),
        ('{"mood":"sad","extra":%s}' % ("[" * 300 + "]" * 300), "$.extra"),
        ('{"mood":"angry"}', "$.mood is none of the enum's values"),
        ('{"score":1}', "$.mood is missing"),
        ('{"mood":"sad","score":9223372036854775808}', "$.score is not integer"),
        ('{"mood":"sad","seller":{"name":7}}', "$.seller.name is not string"),
        ('[{"mood":"sad"}]', "$ is not object"),
        ("null", "$ is null"),
    ],
    ids=lambda said: said[:30],
)
def test_an_answer_that_does_not_fit_is_malformed_and_its_text_is_kept(
    tmp_path: Path, text: str, reason: str
) -> None:
    shard = built(tmp_path, bk.generate(MODEL, "{text}", schema=SCHEMA))
    shard.collect([answered("a", text), answered("b", '{"mood":"sad"}')])
    row, good, *_ = shard.rows()
    assert (row["status"], row["response"], row["answer"]) == ("malformed", text, None)
    assert reason in row["error_message"]
    assert good["status"] == "ok"


def test_half_an_answer_is_truncated_not_malformed(tmp_path: Path) -> None:
    shard = built(tmp_path, bk.generate(MODEL, "{text}", schema=SCHEMA))
    shard.collect([answered("a", '{"mood":"s', "MAX_TOKENS")])
    row = shard.rows()[0]
    assert (row["status"], row["response"], row["answer"]) == ("truncated", '{"mood":"s', None)


def vector(key: str, *values: float) -> dict[str, Any]:
    return {"key": key, "response": {"embedding": {"values": list(values)}}}


def test_a_vector_of_another_length_or_none_at_all_is_malformed(tmp_path: Path) -> None:
    shard = built(tmp_path, bk.embed("gemini-embedding-001", "{text}", dimensions=2))
    shard.collect([vector("a", 1, 2), vector("b", 1), answered("c", "text")])
    rows = shard.rows()
    assert [row["status"] for row in rows] == ["ok", "malformed", "malformed", "missing"]
    assert [row["embedding"] for row in rows] == [[1, 2], None, None, None]
    assert rows[1]["error_message"] == "the vector has 1 values, 2 were asked for"
    assert rows[2]["error_message"] == "the answer is no vector, and one was asked for"


def test_a_vector_where_text_was_asked_for_is_malformed(tmp_path: Path) -> None:
    shard = built(tmp_path)
    shard.collect([vector("a", 1, 2)])
    row = shard.rows()[0]
    assert (row["status"], row["error_message"]) == (
        "malformed",
        "the answer is a vector, and none was asked for",
    )


def test_a_vector_of_any_length_is_taken_when_none_was_named(tmp_path: Path) -> None:
    shard = built(tmp_path, bk.embed("gemini-embedding-001", "{text}"))
    shard.collect([vector("a", 1), vector("b", 1, 2), {"key": "c", "error": {"code": 13}}])
    assert [row["embedding"] for row in shard.rows()] == [[1], [1, 2], None, None]
    assert [row["status"] for row in shard.rows()] == ["ok", "ok", "error", "missing"]


def test_long_answers_are_sorted_a_few_rows_at_a_time(tmp_path: Path) -> None:
    rows, size = 100, 1_000_000
    shard = built(tmp_path, rows=rows)
    order = np.random.default_rng(0).permutation(rows).tolist()
    shard.collect([answered(name(row), f"{row} " + "x" * size) for row in order])
    file = pq.ParquetFile(shard.folder / "outcomes" / "00000-1.parquet")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    assert sum(groups) == rows
    assert max(groups) * size < 70_000_000
    starts = [text.partition(" ")[0] for text in file.read(["response"]).column(0).to_pylist()]
    assert starts == [str(row) for row in range(rows)]
