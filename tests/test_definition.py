from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.definition import FORMAT, Definition
from batchkit.draft import Choices, Draft
from batchkit.errors import RunChangedError, RunDirectoryError
from batchkit.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}", config={"temperature": 0.5})
SCHEMA = pa.schema(
    [
        pa.field("id", pa.uint64(), nullable=False, metadata={"unit": "none"}),
        ("text", pa.large_string()),
        ("at", pa.timestamp("ns", "Europe/Berlin")),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
    ],
    metadata={"pandas": '{"index_columns": ["id"]}'},
)


def defined(folder: Path, spec: bk.Spec = SPEC) -> Definition:
    rows = pa.Table.from_pylist([{"id": 1, "text": "x"}], schema=SCHEMA)
    choices = Choices(("id",), (), "raise", "file", {"max_rows": 7}, Layout("g_", raw=True))
    return Draft.of_table(rows, spec, choices).define(folder)


@pytest.mark.parametrize(
    "spec",
    [SPEC, bk.embed("gemini-embedding-001", "{text}", dimensions=8)],
    ids=["generate", "embed"],
)
def test_a_definition_is_read_as_it_was_written(tmp_path: Path, spec: bk.Spec) -> None:
    made = defined(tmp_path, spec)
    made.write(tmp_path)
    read = Definition.read(tmp_path)
    assert read == made
    assert read.table.schema.equals(SCHEMA, check_metadata=True)
    made.check_same(read)


def test_a_definition_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    defined(tmp_path).write(tmp_path)
    content = jsonl.loads((tmp_path / "run.json").read_bytes())
    assert content["format"] == FORMAT
    assert content["spec"]["prompt"] == "Say {text}"
    assert content["table"]["columns"]["at"] == "timestamp[ns, tz=Europe/Berlin]"
    assert content["key"] == ["id"]


def test_no_run_json_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"is no run directory: it has no run\.json"):
        Definition.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"format": 1'])
def test_a_damaged_run_json_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged"):
        Definition.read(tmp_path)


def test_a_run_of_another_format_names_the_version_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 99, "batchkit": "7.0"}')
    with pytest.raises(
        RunDirectoryError, match=r"has format 99, this .* reads 1: use batchkit 7\.0"
    ):
        Definition.read(tmp_path)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"spec": bk.generate("gemini-3.8-flash", "Sing {text}")}, "spec prompt"),
        ({"key": ()}, "key"),
        ({"carry": ("text",)}, "carry"),
        ({"on_bad_key": "reject"}, "on_bad_key"),
        ({"layout": Layout()}, "layout"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_what_was_asked_for_otherwise_is_named_with_both_values(
    tmp_path: Path, change: dict[str, Any], name: str
) -> None:
    made = defined(tmp_path)
    other = replace(made, **change)
    assert name in made.differences(other)
    with pytest.raises(RunChangedError, match=f"{name}: the run has .*, now "):
        made.check_same(other)


def test_a_column_of_another_type_is_another_table(tmp_path: Path) -> None:
    made = defined(tmp_path)
    schema = SCHEMA.set(1, pa.field("text", pa.string()))
    other = replace(made, table=replace(made.table, schema=schema))
    ((name, (ours, theirs)),) = made.differences(other).items()
    assert name == "columns"
    assert (ours[1], theirs[1]) == ("text large_string", "text string")


@pytest.mark.parametrize("change", [{"target": "inline"}, {"made_by": "9.9"}, {"id": "other"}])
def test_what_makes_no_difference_to_the_requests_is_none(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    made = defined(tmp_path)
    assert made.differences(replace(made, **change)) == {}


def test_an_account_is_written_down_as_something_else_in_every_run(tmp_path: Path) -> None:
    made = defined(tmp_path)
    other = replace(made, salt="another")
    assert made.fingerprint("AIza-secret") == made.fingerprint("AIza-secret")
    assert made.fingerprint("AIza-secret") != made.fingerprint("AIza-other")
    assert made.fingerprint("AIza-secret") != other.fingerprint("AIza-secret")
    assert "secret" not in made.fingerprint("AIza-secret")
