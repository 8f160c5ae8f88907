from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.encode import join
from batchkit.specs.bodies import REJECTED, RowBodies, Skeleton, TextSlot
from batchkit.specs.template import Hole
from batchkit.validity import Problem
from tests.specs.asked import asked

SLOT = TextSlot("$.a", ("Say ", Hole("x")))


def written(skeleton: Skeleton, columns: dict[str, Any]) -> list[str | None]:
    batch = pa.record_batch(columns)
    return join(skeleton.bodies(batch).segments).to_pylist()


def test_constants_are_written_once_and_slots_by_row() -> None:
    skeleton = Skeleton({"a": SLOT, "b": {"deep": [1, SLOT, None]}})
    assert skeleton.columns == ("x",)
    assert written(skeleton, {"x": ["1", '"']}) == [
        '{"a":"Say 1","b":{"deep":[1,"Say 1",null]}}',
        '{"a":"Say \\"","b":{"deep":[1,"Say \\"",null]}}',
    ]


def test_a_body_without_slots_is_written_for_every_row() -> None:
    assert written(Skeleton({"a": 1}), {"x": [1, None]}) == ['{"a":1}'] * 2


def test_a_constant_text_is_a_slot_too() -> None:
    skeleton = Skeleton({"a": TextSlot("$.a", ('"quoted"',))})
    assert written(skeleton, {"x": [None]}) == ['{"a":"\\"quoted\\""}']


def test_a_text_of_the_body_that_looks_like_a_slot_is_none() -> None:
    skeleton = Skeleton({"a": "@0@", "b": SLOT, "c": "{x} \0"})
    assert written(skeleton, {"x": ["1"]}) == ['{"a":"@0@","b":"Say 1","c":"{x} \\u0000"}']


def test_an_optional_field_is_left_out_where_a_value_is_null() -> None:
    skeleton = Skeleton({"a": 1, "b": TextSlot("$.b", (Hole("x"), "!"), optional=True), "c": 2})
    assert written(skeleton, {"x": ["1", None]}) == ['{"a":1,"b":"1!","c":2}', '{"a":1,"c":2}']


def test_an_optional_field_of_constant_text_is_always_there() -> None:
    skeleton = Skeleton({"a": 1, "b": TextSlot("$.b", ("same",), optional=True)})
    assert written(skeleton, {"x": [1, None]}) == ['{"a":1,"b":"same"}'] * 2


def test_a_slot_that_cannot_be_left_out_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match=r"\$\.b is not a field that can be left out"):
        Skeleton({"b": TextSlot("$.b", ("x",), optional=True)})


@pytest.mark.parametrize(
    "column, why",
    [
        (pa.array([None], pa.string()), "column 'x' is null: give a default, {x??…}"),
        (pa.array([float("nan")]), "column 'x' is NaN: give a default, {x??…}"),
        (
            pa.array([2**31 - 1], pa.date32()),
            "column 'x' is outside the years 1 to 9999: give a default, {x??…}",
        ),
        (pa.array([""]), "the text is empty"),
        (
            pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([None], pa.string())),
            "column 'x' is null: give a default, {x??…}",
        ),
    ],
    ids=["null", "nan", "date", "empty", "null in a dictionary"],
)
def test_a_row_without_a_text_is_rejected_with_path_and_reason(column: pa.Array, why: str) -> None:
    skeleton = Skeleton({"a": TextSlot("$.a", (Hole("x"),))})
    bodies = skeleton.bodies(pa.record_batch({"x": column}))
    assert bodies.rejected.schema == REJECTED
    assert bodies.rejected.to_pylist() == [{"row": 0, "path": "$.a", "reason": why}]
    assert join(bodies.segments).to_pylist() == [None]


def test_a_row_is_rejected_once_and_for_the_first_reason() -> None:
    skeleton = Skeleton({"a": TextSlot("$.a", (Hole("x"), Hole("y")))})
    columns = {"x": [None, "1", None], "y": [None, None, "1"]}
    rejected = skeleton.bodies(pa.record_batch(columns)).rejected.to_pylist()
    assert [(row["row"], row["reason"][:10]) for row in rejected] == [
        (0, "column 'x'"),
        (1, "column 'y'"),
        (2, "column 'x'"),
    ]


def test_texts_that_are_empty_together_are_an_empty_text() -> None:
    skeleton = Skeleton({"a": TextSlot("$.a", (Hole("x"), Hole("y", "", "")))})
    columns = {"x": ["", "", "1"], "y": [None, "2", ""]}
    assert written(skeleton, columns) == [None, '{"a":"2"}', '{"a":"1"}']


def test_no_rows_make_no_bodies() -> None:
    skeleton = Skeleton({"a": SLOT})
    assert written(skeleton, {"x": pa.array([], pa.string())}) == []


@pytest.mark.parametrize("rows", [3, 0])
def test_the_same_batch_gives_the_same_bytes_every_time(rows: int) -> None:
    columns = {"x": pa.array(["1", '"', None][:rows], pa.string())}
    assert written(Skeleton({"a": SLOT}), columns) == written(Skeleton({"a": SLOT}), columns)


def function_bodies(function: Any, columns: dict[str, Any]) -> list[Any]:
    return asked(bk.generate("gemini-3.8-flash", function, version="1"), columns)


def said(body: Any) -> str:
    return body["contents"][0]["parts"][0]["text"]


def test_a_function_gets_each_row_as_a_dict_in_which_nan_is_none() -> None:
    seen: list[Any] = []

    def remember(row: Any) -> str:
        seen.append(dict(row))
        return "x"

    day = dt.date(2026, 1, 2)
    columns = {
        "f": [float("nan"), 1.5],
        "c": pa.array([1.0, float("nan")]).dictionary_encode(),
        "n": pa.array([2**64 - 1, None], pa.uint64()),
        "d": pa.array([day, None]),
        "l": [[1, None], None],
    }
    function_bodies(remember, columns)
    assert seen == [
        {"f": None, "c": 1.0, "n": 2**64 - 1, "d": day, "l": [1, None]},
        {"f": 1.5, "c": None, "n": None, "d": None, "l": None},
    ]


def test_an_error_in_the_function_rejects_its_row_and_no_other() -> None:
    bodies = function_bodies(lambda row: "x" * (6 // row["n"]), {"n": [3, 0, 2]})
    assert [said(bodies[0]), said(bodies[2])] == ["xx", "xxx"]
    assert bodies[1] == (
        "$",
        "the function raised ZeroDivisionError: integer division or modulo by zero",
    )


@pytest.mark.parametrize(
    "returned, path, why",
    [
        (None, "$", "the function returned a NoneType, not a text or a request body"),
        (3, "$", "the function returned a int, not a text or a request body"),
        ("", "$", "the function returned an empty text, not a text or a request body"),
        (b"x", "$", "the function returned a bytes, not a text or a request body"),
        (
            "\ud800",
            "$.request.contents[0].parts[0].text",
            "the text holds a lone surrogate, which is not UTF-8",
        ),
        (
            {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"seed": 2**70}},
            "$.request.generationConfig.seed",
            f"{2**70} does not fit 64 bits",
        ),
        (
            {"generationConfig": {"temperature": float("nan")}},
            "$.request.generationConfig.temperature",
            "nan is not JSON",
        ),
        (
            {"contents": [{"parts": [b"x"]}]},
            "$.request.contents[0].parts[0]",
            "a bytes is not JSON",
        ),
        ({"contents": []}, "$.request.contents", "missing or empty"),
        (
            {"contents": [{"parts": [{"text": "x"}]}], "thinkingConfig": {}},
            "$.request.thinkingConfig",
            "unknown field; did you mean generationConfig.thinkingConfig?",
        ),
    ],
    ids=repr,
)
def test_what_a_function_may_not_return_rejects_its_row(returned: Any, path: str, why: str) -> None:
    ((found_path, found_why),) = function_bodies(lambda _: returned, {"n": [1]})
    assert found_path == path
    assert found_why.startswith(why)


def test_a_body_that_refers_to_itself_rejects_its_row() -> None:
    loop: dict[str, Any] = {}
    loop["contents"] = loop
    ((path, why),) = function_bodies(lambda _: loop, {"n": [1]})
    assert (path, "recursion" in why) == ("$", True)


def test_a_warning_does_not_reject_a_row() -> None:
    def check(body: Any) -> Any:
        yield Problem("warning", "rule", "$", "not so good")
        if body["n"] == 2:
            yield Problem("error", "rule", "$.n", "bad", "do better")

    bodies = RowBodies(("n",), lambda row: row["n"], lambda n: {"n": n}, check)
    made = bodies.bodies(pa.record_batch({"n": [1, 2]}))
    assert [json.loads(text) if text else None for text in join(made.segments).to_pylist()] == [
        {"n": 1},
        None,
    ]
    assert made.rejected.to_pylist() == [{"row": 1, "path": "$.n", "reason": "bad; do better"}]
