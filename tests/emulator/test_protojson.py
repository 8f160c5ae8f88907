from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.protojson import Fault, Schema, snake_case

# A schema with one field of every kind, in a message that contains itself.
PACKAGE = "type.googleapis.com/package."
TYPES = {
    "Node": {
        "fields": {
            "longName": "string",
            "isOpen": "boolean",
            "small": "int32",
            "large": "int64",
            "ratio": "float",
            "content": "byte",
            "madeAt": "date-time",
            "lasts": "google-duration",
            "free": "any",
            "colour": "Colour",
            "size": {"enum": ["BIG", "TINY"]},
            "texts": ["string"],
            "byName": {"map": "Node"},
            "childNodes": ["Node"],
            "nothing": "Nothing",
        }
    },
    "Colour": {"enum": ["COLOUR_UNSPECIFIED", "RED"]},
    "Nothing": "object",
}


def decoded(value: Any, *, lenient: bool = False) -> tuple[Any, list[Fault]]:
    faults: list[Fault] = []
    return Schema(TYPES, {}, PACKAGE, lenient=lenient).decoder("Node")(value, None, faults), faults


def read(value: Any) -> Any:
    """A message that has no fault."""
    message, faults = decoded(value)
    assert faults == []
    return message


def faults_of(value: Any) -> list[str]:
    return [f"{fault.place}: {fault.reason}" for fault in decoded(value)[1]]


LEAVES = {
    "longName": st.text(max_size=5),
    "isOpen": st.booleans(),
    "small": st.integers(-(2**31), 2**31 - 1),
    "large": st.integers(-(2**63), 2**63 - 1),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "free": st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4),
    "colour": st.sampled_from(["COLOUR_UNSPECIFIED", "RED"]),
    "size": st.sampled_from(["BIG", "TINY"]),
    "texts": st.lists(st.text(max_size=3), max_size=3),
    "nothing": st.just({}),
}


def messages() -> st.SearchStrategy[dict[str, Any]]:
    flat = st.fixed_dictionaries({}, optional=LEAVES)
    return st.recursive(
        flat,
        lambda inner: st.fixed_dictionaries(
            {},
            optional=LEAVES
            | {
                "childNodes": st.lists(inner, max_size=2),
                "byName": st.dictionaries(st.text(max_size=3), inner, max_size=2),
            },
        ),
        max_leaves=4,
    )


def renamed(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its fields in snake_case, and a null for every field it has not."""
    named: dict[str, Any] = {}
    for field in TYPES["Node"]["fields"]:
        value = message.get(field)
        if field == "childNodes" and value:
            value = [renamed(child) for child in value]
        if field == "byName" and value:
            value = {name: renamed(child) for name, child in value.items()}
        named[snake_case(field)] = value
    return named


def with_nulls_dropped(message: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if value is not None}
    if "childNodes" in kept:
        kept["childNodes"] = [with_nulls_dropped(child) for child in kept["childNodes"]]
    if "byName" in kept:
        kept["byName"] = {n: with_nulls_dropped(child) for n, child in kept["byName"].items()}
    return kept


@settings(deadline=None)
@given(message=messages())
def test_a_message_is_read_as_it_stands_in_either_spelling(message: dict[str, Any]) -> None:
    assert read(message) == with_nulls_dropped(message)
    assert read(renamed(message)) == read(message)


@settings(deadline=None)
@given(number=st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_same_as_a_number_a_float_and_a_text(number: int) -> None:
    spellings: list[Any] = [number, float(number), str(number)]
    assert [read({"large": value}) for value in spellings] == [{"large": number}] * 3


@pytest.mark.parametrize(
    "value", [1.5, True, "", "1.0", " 1", "1_0", "٣", "0x1", "9" * 5000, 2**63, -(2**63) - 1, 1e300]
)
def test_what_is_no_whole_number_of_64_bits_is_refused(value: Any) -> None:
    assert faults_of({"large": value})[0].startswith("large: invalid value")


@pytest.mark.parametrize("value", ["1", "-1.5", "1e3", "2E-2", "0.25"])
def test_a_number_may_be_written_as_a_text(value: str) -> None:
    assert read({"ratio": value}) == {"ratio": float(value)}


@pytest.mark.parametrize("value", ["", "1_0", "NaN", "inf", " 1", ".5", "٣", "9" * 400, True, []])
def test_a_text_that_json_would_not_call_a_number_is_refused(value: Any) -> None:
    assert len(faults_of({"ratio": value})) == 1


@pytest.mark.parametrize(
    "message, fault",
    [
        ({"long_naem": "x"}, ": no such field: 'long_naem'"),
        ({"childNodes": [{}, {"x": 1}]}, "child_nodes[1]: no such field: 'x'"),
        ({"byName": {"a.b": {"x": 1}}}, "by_name.a.b: no such field: 'x'"),
        ({"nothing": {"x": 1}}, "nothing: no such field: 'x'"),
        ({"childNodes": [None]}, "child_nodes[0]: invalid value null"),
        ({"childNodes": {}}, "child_nodes: expected '[', got '{'"),
        ({"texts": "x"}, "texts: expected '[', got \"x\""),
        ({"longName": ["x"]}, ": 'long_name' is no list"),
        ({"longName": {}}, "long_name: invalid value {…} for TYPE_STRING"),
        ({"isOpen": "true"}, 'is_open: invalid value "true" for TYPE_BOOL'),
        ({"isOpen": 1}, "is_open: invalid value 1 for TYPE_BOOL"),
        ({"colour": "red"}, 'colour: invalid value "red"'),
        ({"colour": 1}, "colour: invalid value 1"),
        ({"size": "HUGE"}, 'size: invalid value "HUGE" for enum'),
        ({"byName": []}, ": 'by_name' is no list"),
        ({"byName": "x"}, 'by_name: invalid value "x" for map'),
        ({"content": "a"}, 'content: invalid value "a" for TYPE_BYTES'),
        ({"madeAt": "2026-01-06"}, 'made_at: invalid value "2026-01-06"'),
        ({"lasts": "1"}, 'lasts: invalid value "1"'),
        ([], ": invalid value […]"),
        ("x", ': invalid value "x"'),
    ],
)
def test_what_is_refused_is_named_with_its_place(message: Any, fault: str) -> None:
    (found,) = faults_of(message)
    assert found.startswith(fault)


def test_a_lenient_reader_takes_one_for_many_and_small_letters() -> None:
    message = {"texts": "x", "childNodes": {"colour": "red", "size": "tiny"}}
    assert decoded(message, lenient=True) == (
        {"texts": ["x"], "childNodes": [{"colour": "RED", "size": "TINY"}]},
        [],
    )


def test_every_fault_is_found_and_what_is_good_is_kept() -> None:
    message, faults = decoded({"small": "x", "longName": "kept", "y": 1, "childNodes": [{"z": 1}]})
    assert [fault.place for fault in faults] == ["small", "", "child_nodes[0]"]
    assert message["longName"] == "kept"


def test_a_check_sees_only_messages_without_a_fault() -> None:
    seen: list[Any] = []
    checks = {"Node": lambda message, _path, _faults: seen.append(message)}
    decode = Schema(TYPES, checks, PACKAGE).decoder("Node")
    faults: list[Fault] = []
    decode({"childNodes": [{"small": "1"}, {"small": "x"}, {"small": 2}]}, None, faults)
    assert seen == [{"small": 1}]
    assert len(faults) == 1


@pytest.mark.parametrize(
    "name, snake",
    [("text", "text"), ("fileUri", "file_uri"), ("_responseJsonSchema", "_response_json_schema")],
)
def test_a_fields_name_in_a_proto_file_is_in_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake
