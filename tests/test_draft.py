from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.draft import Choices, Draft
from batchkit.errors import BadRequestError, CapabilityError, SetupError, TableError, TemplateError
from batchkit.layout import Layout
from batchkit.limits import service_limit

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": "a", "text": "x", "price": 1.5}, {"id": "b", "text": "y", "price": 2.5}]
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
JSON_SCHEMA = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "string"}}


def chosen(**choices: Any) -> Choices:
    given = {
        "key": (),
        "carry": (),
        "on_bad_key": "raise",
        "target": None,
        "limits": {},
        "layout": Layout(),
        **choices,
    }
    return Choices(**given)


def draft(spec: bk.Spec = SPEC, **choices: Any) -> Draft:
    return Draft.of_table(pa.Table.from_pylist(ROWS), spec, chosen(**choices))


def test_a_definition_holds_what_was_given(tmp_path: Path) -> None:
    given = draft(key=("id",), on_bad_key="reject", target="file", limits={"max_rows": 7})
    made = given.define(tmp_path)
    assert made.spec == SPEC
    assert made.dialect.name == "gemini-generate"
    assert (made.key, made.on_bad_key, made.target) == (("id",), "reject", "file")
    assert made.limits.max_rows == 7
    assert made.table.rows == 2
    assert given.description == "pyarrow Table"


def test_a_table_in_memory_is_pinned_and_carries_nothing_twice(tmp_path: Path) -> None:
    made = draft(key=("id",), carry=("price",)).define(tmp_path)
    assert (tmp_path / "table.arrow").exists()
    assert made.carry == ()


def test_a_file_stays_outside_and_lends_key_and_carried_columns_once(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    choices = chosen(key=("id",), carry=("price", "id"))
    made = Draft.of_table(tmp_path / "rows.parquet", SPEC, choices).define(tmp_path)
    assert made.carry == ("id", "price")
    assert not (tmp_path / "table.arrow").exists()


def test_every_run_has_an_id_and_a_salt_of_its_own(tmp_path: Path) -> None:
    one, other = draft().define(tmp_path), draft().define(tmp_path)
    assert one.id != other.id
    assert one.salt != other.salt


def test_the_same_table_and_choices_are_the_same_run(tmp_path: Path) -> None:
    made = draft(key=("id",)).define(tmp_path)
    again = draft(key=("id",)).same_as(made)
    assert again.differences(made) == {}
    assert (again.id, again.salt, again.created) == (made.id, made.salt, made.created)


@pytest.mark.parametrize(
    "choices, name",
    [
        ({"key": ("id",)}, "key"),
        ({"on_bad_key": "reject"}, "on_bad_key"),
        ({"limits": {"max_rows": 7}}, "limits"),
        ({"layout": Layout("g_")}, "layout"),
        ({"spec": bk.generate("gemini-3.8-flash", "Sing {text}")}, "spec prompt"),
    ],
    ids=lambda choices: next(iter(choices)) if isinstance(choices, dict) else "",
)
def test_another_choice_is_another_run(tmp_path: Path, choices: dict[str, Any], name: str) -> None:
    made = draft().define(tmp_path)
    assert list(made.differences(draft(**choices).same_as(made))) == [name]


def test_another_table_is_another_run(tmp_path: Path) -> None:
    made = draft().define(tmp_path)
    other = Draft.of_table([*ROWS, *ROWS], SPEC, chosen())
    assert "rows" in made.differences(other.same_as(made))


@pytest.mark.parametrize(
    "spec, choices, error, said",
    [
        (SPEC, {"key": ("di",)}, TableError, "no key column 'di': the columns are id, text, price"),
        (SPEC, {"key": ("price",)}, TableError, "floats are no keys"),
        (SPEC, {"carry": ("cost",)}, TableError, "carry names 'cost'; the columns are id, text"),
        (SPEC, {"limits": {"max_row": 1}}, SetupError, "max_row"),
        (SPEC, {"target": "pigeon"}, CapabilityError, "pigeon"),
        (bk.generate("m", "{txt}"), {}, TemplateError, r"did you mean \{text\}"),
        (bk.generate("m", "{price:d}"), {}, TemplateError, "double cannot be formatted with 'd'"),
        (
            bk.generate("m", "{text}", config={"topp": 1}),
            {},
            BadRequestError,
            r"m would refuse every request of this spec(.|\n)*did you mean topP",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused_with_the_reason(
    spec: bk.Spec, choices: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        draft(spec, **choices)


def test_a_request_may_be_no_larger_than_the_target_takes(tmp_path: Path) -> None:
    inline = draft(target="inline").define(tmp_path)
    assert inline.limits.max_bytes < service_limit("gemini", "max_inline_bytes")
    assert inline.limits.max_bytes < draft(target="file").same_as(inline).limits.max_bytes


@pytest.mark.parametrize(
    "spec, said",
    [
        (bk.generate("gemini-2.0-flash", "{text}"), "gemini-2.0-flash is shut down"),
        (
            bk.generate("gemini-3.8-flash", "{text}", config=JSON_SCHEMA),
            "as if responseJsonSchema were not there",
        ),
    ],
    ids=["model", "bug"],
)
def test_what_may_go_wrong_is_warned_about(
    spec: bk.Spec, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "batchkit"):
        draft(spec)
    assert said in caplog.text


def test_a_request_file_is_a_draft_of_its_own_keys(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    line = {"key": "mine", "request": {"contents": [{"parts": [{"text": "hi"}]}]}}
    path.write_bytes(jsonl.dumps(line) + b"\n")
    made = Draft.of_requests(path, "models/gemini-3.8-flash", chosen()).define(tmp_path)
    assert made.key == ("key",)
    assert made.spec.model == "gemini-3.8-flash"
    assert made.table.rows == 1
