from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchkit.mending import given_key, mended
from tests.proto_values import JSON, Drawing

HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def request_of(item: Any) -> Any:
    """The request of a mended line that has nothing beside it."""
    line = mended(item, "k")
    assert line.keys() == {"key", "request"}
    assert line["key"] == "k"
    return line["request"]


@pytest.mark.parametrize(
    "item, key",
    [
        ({"key": "a", "custom_id": "b"}, "a"),
        ({"key": "", "custom_id": "b"}, "b"),
        ({"key": None, "metadata": {"key": "c"}}, "c"),
        ({"metadata": {"other": "c"}}, None),
        ({"metadata": "c"}, None),
        ({"key": 7}, "7"),
        ({"key": 0}, "0"),
        ({"key": 1.5}, "1.5"),
        ({"key": ["a", 1]}, '["a",1]'),
        ({"custom_id": {"a": 1}}, '{"a":1}'),
        ({}, None),
        ([], None),
        ("a", None),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_key_is_found_under_the_names_that_others_give_it(item: Any, key: str | None) -> None:
    assert given_key(item) == key


def test_a_line_that_is_right_comes_back_equal() -> None:
    request = {
        "contents": HI,
        "generation_config": {"top_k": 3},
        "systemInstruction": {"parts": []},
    }
    assert mended({"key": "k", "request": request}, "k") == {"key": "k", "request": request}


@pytest.mark.parametrize(
    "item",
    [
        {"contents": HI},
        {"key": "k", "contents": HI},
        {"custom_id": "k", "contents": HI},
        {"custom_id": "k", "request": {"contents": HI}},
        {"metadata": {"key": "k"}, "request": {"contents": HI}},
        {"key": None, "custom_id": "", "metadata": {}, "request": {"contents": HI}},
        {"request": {"contents": "hi"}},
        {"request": {"contents": ["hi"]}},
        {"request": {"contents": HI[0]}},
        {"request": {"contents": [{"role": "HUMAN", "parts": ["hi"]}]}},
        {"request": {"contents": [{"role": "user", "parts": "hi"}]}},
        {"request": {"contents": [{"role": "user", "parts": {"text": "hi"}}]}},
        {"request": {}, "contents": "hi"},
    ],
    ids=repr,
)
def test_each_way_to_ask_the_same_becomes_one(item: Any) -> None:
    assert request_of(item) == {"contents": HI}


@pytest.mark.parametrize(
    "item",
    [
        {"request": {"contents": HI, "thinking_config": {"thinkingBudget": 1}}},
        {"request": {"contents": HI, "thinkingBudget": 1}},
        {"request": {"contents": HI}, "thinkingConfig": {"thinkingBudget": 1}},
        {
            "request": {"contents": HI},
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 1}},
        },
        {"request": {"contents": HI}, "config": {"thinkingConfig": {"thinkingBudget": 1}}},
        {"contents": HI, "config": {"thinkingConfig": {"thinkingBudget": 1}, "http_options": {}}},
        {"request": {"contents": HI, "generationConfig": {"thinkingBudget": 1}}},
    ],
    ids=repr,
)
def test_a_field_of_the_generation_config_is_put_there(item: Any) -> None:
    config = {"thinkingConfig": {"thinkingBudget": 1}}
    assert request_of(item) == {"contents": HI, "generationConfig": config}


@pytest.mark.parametrize(
    "item",
    [
        {"request": {"contents": HI}, "system_instruction": "Be brief"},
        {"request": {"contents": HI, "config": {"system_instruction": "Be brief"}}},
        {"contents": "hi", "config": {"systemInstruction": ["Be brief"]}},
        {"contents": HI, "systemInstruction": {"parts": "Be brief"}},
    ],
    ids=repr,
)
def test_a_system_instruction_stands_in_the_request_as_content(item: Any) -> None:
    system = {"parts": [{"text": "Be brief"}]}
    assert request_of(item) == {"contents": HI, "systemInstruction": system}


def test_what_does_not_belong_into_a_generation_config_is_taken_out_of_it() -> None:
    config = {"topK": 1, "system_instruction": "Be brief", "nonsense": 1}
    assert request_of({"request": {"contents": HI, "generation_config": config}}) == {
        "contents": HI,
        "generation_config": {"topK": 1, "nonsense": 1},
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
    }


def test_the_spelling_of_a_request_is_kept_where_something_joins_it() -> None:
    request = {
        "contents": HI,
        "generation_config": {"thinking_config": {"include_thoughts": True}},
        "thinkingBudget": 1,
        "topK": 2,
    }
    assert request_of({"request": request})["generation_config"] == {
        "thinking_config": {"include_thoughts": True, "thinkingBudget": 1},
        "topK": 2,
    }


def test_configs_that_do_not_contradict_each_other_become_one() -> None:
    item = {
        "request": {
            "contents": HI,
            "generationConfig": {"top_k": 1, "seed": 2},
            "config": {"topK": 1, "temperature": 0.5},
        }
    }
    assert request_of(item)["generationConfig"] == {"top_k": 1, "seed": 2, "temperature": 0.5}


def test_nothing_is_overwritten_and_what_is_in_the_way_stays_to_be_told() -> None:
    item = {
        "key": "k",
        "custom_id": "other",
        "metadata": {"key": "k", "page": 1},
        "url": "/v1",
        "generationConfig": {"topK": 3, "seed": 1},
        "request": {
            "contents": HI,
            "generationConfig": {"topK": 1},
            "topK": 2,
            "config": {"topK": 4, "temperature": 0.5},
            "labels": {"a": "b"},
            "text": "x",
        },
    }
    kept = copy.deepcopy(item)
    assert mended(item, "k") == {
        "key": "k",
        "request": {
            "contents": HI,
            "generationConfig": {"topK": 1, "temperature": 0.5},
            "topK": 2,
            "config": {"topK": 4},
            "labels": {"a": "b"},
            "text": "x",
        },
        "custom_id": "other",
        "metadata": {"key": "k", "page": 1},
        "url": "/v1",
        "generationConfig": {"topK": 3, "seed": 1},
    }
    assert item == kept


def test_embeddings_are_mended_by_fields_of_their_own() -> None:
    content = {"parts": [{"text": "hi"}]}
    for item in (
        {"content": "hi", "config": {"task_type": "CLUSTERING", "output_dimensionality": 3}},
        {"request": {"content": ["hi"]}, "taskType": "CLUSTERING", "outputDimensionality": 3},
        {"parts": ["hi"], "content": None, "task_type": "CLUSTERING", "outputDimensionality": 3},
    ):
        request = request_of(item)
        assert request.pop("content") == content
        assert sorted(map(str, request.values())) == ["3", "CLUSTERING"]
    vertex = {"content": content, "embed_content_config": {"title": "t"}, "task_type": "CLUSTERING"}
    assert request_of({"request": vertex}) == vertex


@pytest.mark.parametrize("item", [5, "a", None, [], [{"contents": HI}]], ids=repr)
def test_what_is_no_object_comes_back_as_it_is(item: Any) -> None:
    assert mended(item, "k") == item


def test_a_request_that_is_none_is_kept() -> None:
    assert mended({"request": "hi", "a": 1}, "k") == {"key": "k", "request": "hi", "a": 1}


NAMES = ["key", "request", "config", "contents", "generationConfig", "thinking_config", "topK"]


@st.composite
def odd_lines(draw: st.DrawFn) -> Any:
    """Lines of which parts are right, and others stand or look anyhow."""
    request = draw(Drawing("gemini").values("GenerateContentRequest", 3))
    config = draw(Drawing("gemini").values("GenerationConfig", 2))
    odd = draw(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3))
    item = {**request, **config, **odd} if draw(st.booleans()) else {"request": {**request, **odd}}
    if draw(st.booleans()):
        item["config"] = {**config, **draw(Drawing("gemini").values("ToolConfig", 2))}
    return item


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(odd_lines())
def test_mending_twice_changes_nothing_and_any_line_can_be_mended(item: Any) -> None:
    kept = copy.deepcopy(item)
    key = given_key(item) or "k"
    once = mended(item, key)
    assert item == kept
    assert given_key(once) == key
    assert mended(once, key) == once


def leaves(value: Any) -> list[str]:
    """Every text and number in a value, wherever it stands."""
    if isinstance(value, dict):
        return sorted(leaf for item in value.values() for leaf in leaves(item))
    if isinstance(value, list):
        return sorted(leaf for item in value for leaf in leaves(item))
    return [] if value is None else [repr(value)]


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(odd_lines())
def test_mending_loses_no_value(item: Any) -> None:
    item.pop("key", None)
    lost = set(leaves(item)) - set(leaves(mended(item, "k")))
    assert lost <= {repr(role) for role in ("assistant", "ai", "human")}
