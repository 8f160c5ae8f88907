from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.structure import Draws, fitting_value

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = ["alpha", "beta", "gamma"]
SEEDS = range(60)

LEAVES = st.one_of(
    st.builds(
        lambda low, span: {"type": "STRING", "minLength": low, "maxLength": low + span},
        st.integers(0, 12),
        st.integers(0, 12),
    ),
    st.builds(
        lambda low, span: {"type": "INTEGER", "minimum": low, "maximum": low + span},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, span: {"type": "NUMBER", "minimum": low, "maximum": low + span},
        st.floats(-50, 50),
        st.floats(0, 9),
    ),
    st.just({"type": "BOOLEAN"}),
    st.just({"type": "NULL"}),
    st.just({"type": "STRING", "enum": ["x", "y"]}),
)


def grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["a", "b", "c"])
    return st.one_of(
        st.builds(
            lambda items, low, span: {
                "type": "ARRAY",
                "items": items,
                "minItems": low,
                "maxItems": low + span,
            },
            inner,
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        st.builds(
            lambda properties, required, order: {
                "type": "OBJECT",
                "properties": properties,
                "required": [name for name in required if name in properties],
                "propertyOrdering": list(order),
            },
            st.dictionaries(names, inner, min_size=1),
            st.lists(names, unique=True),
            st.permutations(["a", "b", "c"]),
        ),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda schema: schema | {"nullable": True}, inner),
    )


SCHEMAS = st.recursive(LEAVES, grown, max_leaves=8)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A second opinion on whether a value keeps a schema."""
    if value is None and schema.get("nullable"):
        return True
    if "anyOf" in schema:
        return any(fits(value, branch) for branch in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = KINDS[schema["type"]]
    return type(value) is kind and CHECKS.get(kind, anything)(value, schema)


def anything(_value: Any, _schema: dict[str, Any]) -> bool:
    return True


def in_bounds(value: Any, schema: dict[str, Any]) -> bool:
    return schema["minimum"] <= value <= schema["maximum"]


def of_length(value: Any, schema: dict[str, Any]) -> bool:
    return schema["minLength"] <= len(value) <= schema["maxLength"]


def of_items(value: Any, schema: dict[str, Any]) -> bool:
    right_length = schema["minItems"] <= len(value) <= schema["maxItems"]
    return right_length and all(fits(item, schema["items"]) for item in value)


def of_properties(value: Any, schema: dict[str, Any]) -> bool:
    order = [name for name in schema["propertyOrdering"] if name in value]
    return (
        set(schema["required"]) <= set(value)
        and list(value) == order
        and set(value) <= set(schema["properties"])
        and all(fits(item, schema["properties"][name]) for name, item in value.items())
    )


KINDS: dict[str, type] = {
    "STRING": str,
    "INTEGER": int,
    "NUMBER": float,
    "BOOLEAN": bool,
    "NULL": type(None),
    "ARRAY": list,
    "OBJECT": dict,
}
CHECKS: dict[type, Callable[[Any, dict[str, Any]], bool]] = {
    str: of_length,
    int: in_bounds,
    float: in_bounds,
    list: of_items,
    dict: of_properties,
}


@settings(deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 2**64))
def test_a_value_keeps_any_schema(schema: dict[str, Any], seed: int) -> None:
    value = fitting_value(schema, Draws(seed, WORDS))
    assert fits(value, schema), value


def values(schema: dict[str, Any]) -> list[Any]:
    return [fitting_value(schema, Draws(seed * 7919, WORDS)) for seed in SEEDS]


def test_texts_are_made_of_the_words_given() -> None:
    assert all(set(text.split()) <= set(WORDS) for text in values({"type": "STRING"}))


def test_a_nullable_value_is_sometimes_null_and_mostly_not() -> None:
    drawn = values({"type": "INTEGER", "nullable": True})
    assert 0 < drawn.count(None) < len(drawn) / 2


def test_an_optional_property_is_sometimes_left_out() -> None:
    drawn = values({"type": "OBJECT", "properties": {"a": {"type": "BOOLEAN"}}})
    assert {} in drawn
    assert any("a" in value for value in drawn)


@pytest.mark.parametrize(
    "name, pattern", [("date", r"2026-\d\d-\d\d"), ("date-time", r"2026-.*T12:00:00Z")]
)
def test_dates_have_their_format(name: str, pattern: str) -> None:
    text = fitting_value({"type": "STRING", "format": name}, Draws(5, WORDS))
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize(
    "schema, kind", [({}, str), ({"items": {}}, list), ({"properties": {}}, dict)]
)
def test_a_schema_without_a_type_is_guessed(schema: dict[str, Any], kind: type) -> None:
    assert isinstance(fitting_value(schema, Draws(1, [])), kind)
