from __future__ import annotations

import datetime as dt
import os
import signal
import stat
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import (
    BadKeysError,
    BadRequestError,
    CapabilityError,
    RunChangedError,
    RunDirectoryError,
    RunHeldError,
    SetupError,
    TableError,
    TemplateError,
)
from tests.driver import FORKS, build_slowly

if TYPE_CHECKING:
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def requests(run: bk.Run) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for shard in run.shards.shards:
        with run.requests_path(shard.name).open("rb") as file:
            lines.extend(jsonl.loads(line) for _, line in jsonl.lines(file))
    return lines


def prompt(request: dict[str, Any]) -> str:
    return request["request"]["contents"][0]["parts"][0]["text"]


def test_each_row_becomes_one_keyed_line_in_source_order(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["one", "two"]})
    run = bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    assert requests(run) == [
        {"key": "a", "request": {"contents": [{"role": "user", "parts": [{"text": "Say one"}]}]}},
        {"key": "b", "request": {"contents": [{"role": "user", "parts": [{"text": "Say two"}]}]}},
    ]


def test_rows_are_numbered_without_a_key(tmp_path: Path) -> None:
    run = bk.build([{"text": "x"}, {"text": "y"}], SPEC, into=tmp_path / "run")
    assert [request["key"] for request in requests(run)] == ["0", "1"]


def test_an_index_level_is_a_column_to_name_rows_by(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["x", "y"]}, index=pd.Index([7, 9], name="id"))
    run = bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    assert [request["key"] for request in requests(run)] == ["7", "9"]


def test_several_key_columns_make_one_json_key(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": 'x"', "text": "t"}, {"a": 1, "b": "y", "text": "t"}]
    run = bk.build(rows, SPEC, key=["a", "b"], into=tmp_path / "run")
    assert [request["key"] for request in requests(run)] == ['[1,"x\\""]', '[1,"y"]']


def test_a_template_without_columns_is_sent_for_every_row(tmp_path: Path) -> None:
    spec = bk.generate("gemini-3.8-flash", "A haiku, please")
    run = bk.build([{"n": 1}, {"n": 2}], spec, into=tmp_path / "run")
    assert [prompt(request) for request in requests(run)] == ["A haiku, please"] * 2


def test_an_empty_table_builds_an_empty_run(tmp_path: Path) -> None:
    run = bk.build(pd.DataFrame({"text": pd.Series([], dtype=str)}), SPEC, into=tmp_path / "run")
    assert run.shards.rows == 0
    assert requests(run) == []


def test_a_null_rejects_its_row_and_says_where_and_why(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["x", None, "z"]})
    run = bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    assert [request["key"] for request in requests(run)] == ["1", "3"]
    rejected = jsonl.loads((run.folder / "rejected.jsonl").read_bytes())
    assert rejected == {
        "row": 1,
        "key": "2",
        "path": "$.request.contents[0].parts[0].text",
        "reason": "column 'text' is null: give a default, {text??…}",
    }
    assert run.tally()["rejected"] == 1


def test_nan_is_a_null_and_never_reaches_json(tmp_path: Path) -> None:
    rows = pa.table({"text": [1.5, float("nan"), None]})
    run = bk.build(rows, bk.generate("gemini-3.8-flash", "{text??none}"), into=tmp_path / "run")
    assert [prompt(request) for request in requests(run)] == ["1.5", "none", "none"]


def test_the_first_twenty_bad_keys_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["same"] * 30, "text": "x"})
    with pytest.raises(BadKeysError) as caught:
        bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    said = str(caught.value)
    assert said.startswith("29 of 30 rows have no key of their own in id; nothing was sent")
    assert "row 1, key 'same': repeats the key of row 0" in said
    assert len(caught.value.bad_keys) == 20
    assert not (tmp_path / "run" / "requests").exists()


def test_bad_keys_can_be_rejected_as_rows_instead(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "x"}, {"id": None, "text": "y"}, {"id": "a", "text": "z"}]
    run = bk.build(rows, SPEC, key="id", into=tmp_path / "run", on_bad_key="reject")
    assert [prompt(request) for request in requests(run)] == ["Say x"]
    lines = (run.folder / "rejected.jsonl").read_bytes().split(b"\n")[:-1]
    assert [(line["row"], line["reason"]) for line in map(jsonl.loads, lines)] == [
        (1, "the key is null"),
        (2, "repeats the key of row 0"),
    ]


def test_keys_are_unique_over_all_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = pa.table({"id": ["one", name], "text": ["x", "y"]})
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    with pytest.raises(BadKeysError, match="row 2, key 'one': repeats the key of row 0"):
        bk.build(tmp_path, SPEC, key="id", into=tmp_path / "run")


@pytest.mark.parametrize("column", ["status", "response", "error_code", "notes"])
def test_a_column_that_the_result_needs_is_refused_with_the_remedy(
    tmp_path: Path, column: str
) -> None:
    with pytest.raises(TableError, match=f"has a column '{column}'.*prefix='gemini_'"):
        bk.build([{column: "x", "text": "y"}], SPEC, into=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prefix_makes_room_for_the_table_s_own_names(tmp_path: Path) -> None:
    rows = [{"status": "new", "text": "y"}]
    assert bk.build(rows, SPEC, into=tmp_path / "run", prefix="gemini_").is_built


def test_a_field_of_the_schema_that_is_a_result_column_is_refused(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"status": {"type": "string"}}}
    spec = bk.generate("gemini-3.8-flash", "{text}", schema=schema)
    with pytest.raises(TableError, match="flatten=False"):
        bk.build([{"text": "y"}], spec, into=tmp_path / "run")
    assert bk.build([{"text": "y"}], spec, into=tmp_path / "run", flatten=False).is_built


@pytest.mark.parametrize(
    "arguments, error, said",
    [
        ({"spec": bk.generate("m", "{txt}")}, TemplateError, r"did you mean \{text\}"),
        ({"spec": SPEC, "key": "nope"}, TableError, "no key column 'nope'"),
        ({"spec": SPEC, "key": "price"}, TableError, "floats are no keys"),
        ({"spec": SPEC, "target": "pigeon"}, CapabilityError, "knows 'inline', 'file'"),
        ({"spec": SPEC, "limits": {"max_row": 1}}, SetupError, "the limits are max_bytes"),
        ({"spec": SPEC, "limits": {"max_rows": 0}}, SetupError, "max_rows=0 is not positive"),
        ({"spec": SPEC, "engine": "spark"}, SetupError, "give 'local', or an object with map"),
        ({"spec": SPEC, "model": "m"}, SetupError, "a spec names its own model"),
        ({"spec": None, "model": "m"}, SetupError, "give its path, and model="),
        (
            {"spec": bk.generate("m", "{text}", config={"temprature": 1})},
            BadRequestError,
            "did you mean temperature",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        bk.build([{"text": "x", "price": 1.5}], into=tmp_path / "run", **arguments)
    assert not (tmp_path / "run" / "requests").exists()


def test_shards_are_cut_by_rows_and_by_bytes(tmp_path: Path) -> None:
    rows = [{"text": "x" * 50} for _ in range(10)]
    by_rows = bk.build(rows, SPEC, into=tmp_path / "rows", limits={"max_rows": 4})
    assert [shard.requests for shard in by_rows.shards.shards] == [4, 4, 2]
    by_bytes = bk.build(rows, SPEC, into=tmp_path / "bytes", limits={"max_bytes": 400})
    assert all(shard.bytes <= 400 for shard in by_bytes.shards.shards)
    assert requests(by_rows) == requests(by_bytes)


def test_a_small_run_goes_inline_and_a_larger_one_by_file(tmp_path: Path) -> None:
    small = bk.build([{"text": "x"}], SPEC, into=tmp_path / "small")
    large = bk.build([{"text": "x"}] * 1001, SPEC, into=tmp_path / "large")
    assert (small.shards.target, large.shards.target) == ("inline", "file")


def test_the_same_call_again_builds_nothing_and_a_different_one_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["x"]})
    first = bk.build(frame, SPEC, into=tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.json*")}
    again = bk.build(frame, SPEC, into=tmp_path / "run")
    assert again.definition.id == first.definition.id
    assert {path: path.stat().st_mtime_ns for path in before if path.name != "lease.json"} == {
        path: at for path, at in before.items() if path.name != "lease.json"
    }
    with pytest.raises(
        RunChangedError, match=r"spec prompt: the run has 'Say \{text\}', now 'Sing"
    ):
        bk.build(frame, bk.generate("gemini-3.8-flash", "Sing {text}"), into=tmp_path / "run")
    with pytest.raises(RunChangedError, match="values of text: the run has"):
        bk.build(pd.DataFrame({"text": ["y"]}), SPEC, into=tmp_path / "run")
    with pytest.raises(RunChangedError, match="limits: the run has"):
        bk.build(frame, SPEC, into=tmp_path / "run", limits={"max_rows": 7})


def test_a_build_that_stopped_at_bad_keys_can_be_given_mended_rows(tmp_path: Path) -> None:
    with pytest.raises(BadKeysError):
        bk.build([{"id": "a", "text": "x"}] * 2, SPEC, key="id", into=tmp_path / "run")
    rows = [{"id": "a", "text": "x"}, {"id": "b", "text": "x"}]
    run = bk.build(rows, SPEC, key="id", into=tmp_path / "run")
    assert [request["key"] for request in requests(run)] == ["a", "b"]


def test_a_function_as_prompt_resumes_by_its_version(tmp_path: Path) -> None:
    def shout(row: Any) -> str:
        return row["text"].upper()

    rows = [{"text": "x"}]
    bk.build(rows, bk.generate("gemini-3.8-flash", shout, version="1"), into=tmp_path / "run")
    bk.build(rows, bk.generate("gemini-3.8-flash", shout, version="1"), into=tmp_path / "run")
    with pytest.raises(RunChangedError, match="'version': '1'"):
        bk.build(rows, bk.generate("gemini-3.8-flash", shout, version="2"), into=tmp_path / "run")


def test_a_folder_with_other_files_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="holds other files"):
        bk.build([{"text": "x"}], SPEC, into=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt"]


def test_a_run_that_another_driver_holds_is_refused(tmp_path: Path) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    with run.hold(), pytest.raises(RunHeldError, match=f"pid {os.getpid()}"):
        bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")


def test_only_the_owner_can_read_a_run_directory(tmp_path: Path) -> None:
    run = bk.build([{"text": "secret"}], SPEC, into=tmp_path / "run")
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    readable = [
        path
        for path in run.folder.rglob("*")
        if path.is_file() and path.name != ".lease" and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert readable == []


def test_a_ready_request_file_is_a_run_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    bad = {"contents": [{"parts": [{"text": "hi"}]}], "thinking_config": {}}
    items = [{"key": "mine", "request": body}, body, {"key": "bad", "request": bad}]
    path.write_bytes(b"\n".join(jsonl.dumps(item) for item in items) + b"\nnot json\n")
    run = bk.build(path, None, model="gemini-3.8-flash", into=tmp_path / "run")
    assert requests(run) == [{"key": "mine", "request": body}, {"key": "line-2", "request": body}]
    lines = (run.folder / "rejected.jsonl").read_bytes().split(b"\n")[:-1]
    rejected = [jsonl.loads(line) for line in lines]
    assert [(line["key"], line["path"]) for line in rejected] == [
        ("bad", "$.request.thinking_config"),
        ("line-4", "$"),
    ]


def test_a_ready_file_of_embedding_requests_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"key":"a","request":{"content":{"parts":[{"text":"x"}]}}}\n')
    run = bk.build(path, None, model="gemini-embedding-001", into=tmp_path / "run")
    assert run.definition.spec.kind == "embed"


def test_values_of_every_kind_are_rendered_predictably(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "integer": pd.Series([2**62 + 1], dtype="int64"),
            "price": [Decimal("12.50")],
            "at": pd.to_datetime(["2026-11-23T10:00:00.5"]).tz_localize("Europe/Berlin"),
            "day": [dt.date(2026, 1, 2)],
            "flag": [True],
            "share": [0.1],
            "tags": [["a", "b"]],
            "where": [{"city": "Köln", "zip": None}],
        }
    )
    template = "|".join(f"{{{name}}}" for name in frame.columns)
    run = bk.build(frame, bk.generate("m", template), into=tmp_path / "run")
    assert prompt(requests(run)[0]) == (
        "4611686018427387905|12.50|2026-11-23T10:00:00.5+01:00|2026-01-02|true|0.1|"
        '["a","b"]|{"city":"Köln","zip":null}'
    )


class TwoTasksAtOnce:
    """An engine of a user's: any object with map."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def map(self, function: Any, tasks: Any) -> Any:
        self.seen = list(tasks)
        return [function(task) for task in reversed(self.seen)]


def test_an_engine_may_run_tasks_in_any_order_and_the_files_are_the_same(tmp_path: Path) -> None:
    rows = pa.table({"text": [f"row {i}" for i in range(100)]})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=10)
    limits = {"max_bytes": 1_000, "max_tokens": 100}
    engine = TwoTasksAtOnce()
    here = bk.build(tmp_path / "rows.parquet", SPEC, into=tmp_path / "here", limits=limits)
    there = bk.build(
        tmp_path / "rows.parquet", SPEC, into=tmp_path / "there", limits=limits, engine=engine
    )
    assert requests(here) == requests(there)
    assert [shard.sha256 for shard in here.shards.shards] == [
        shard.sha256 for shard in there.shards.shards
    ]
    assert engine.seen


def test_a_build_killed_anywhere_is_finished_by_the_next_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    rows = pa.table({"id": range(2_000), "text": ["x" * 100] * 2_000})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=100)
    whole = bk.build(tmp_path / "rows.parquet", SPEC, key="id", into=tmp_path / "whole")
    kills = 0
    for pause in range(12):
        process = FORKS.Process(target=build_slowly, args=(str(tmp_path), "killed"))
        process.start()
        process.join(0.05 + pause * 0.03)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            kills += 1
        process.join(60)
    assert kills
    run = bk.build(tmp_path / "rows.parquet", SPEC, key="id", into=tmp_path / "killed")
    assert requests(run) == requests(whole)
    assert run.shards.rows == 2_000
    assert not list(run.folder.rglob("*.tmp"))
