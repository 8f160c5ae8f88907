from __future__ import annotations

from typing import Any

import pytest

from batchkit.shape import (
    check_shape,
    is_count,
    is_flag,
    is_number,
    is_plain_name,
    is_tally,
    is_text,
    listed,
    optional,
)

SHAPE = {"name": is_text, "inner": {"count": is_count}, "maybe": optional(listed(is_flag))}


@pytest.mark.parametrize("more", [{}, {"maybe": None}, {"maybe": [True]}, {"unknown": object()}])
def test_a_value_of_the_shape_is_taken_with_whatever_else_stands_there(more: Any) -> None:
    check_shape({"name": "", "inner": {"count": 0, "x": 1}, **more}, SHAPE)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"name": 5}, r"\$\.name is 5"),
        ({"name": None}, r"\$\.name is None"),
        ({"inner": []}, r"\$\.inner is no object"),
        ({"inner": {}}, r"\$\.inner\.count is missing"),
        ({"inner": {"count": "x" * 500}}, r"\$\.inner\.count is 'x{59}…"),
        ({"inner": {"count": {}}}, r"\$\.inner\.count is an object"),
        ({"maybe": [1]}, r"\$\.maybe is a list"),
        ({"maybe": False}, r"\$\.maybe is False"),
    ],
)
def test_another_shape_is_refused_with_the_path(change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_shape({"name": "", "inner": {"count": 0}, **change}, SHAPE)


def test_what_is_no_object_has_no_fields() -> None:
    for value in (None, [], 5, "text"):
        with pytest.raises(ValueError, match=r"\$ is no object"):
            check_shape(value, SHAPE)


def test_numbers_are_numbers_and_flags_are_none() -> None:
    assert [is_count(x) for x in (0, 2**63 - 1)] == [True, True]
    assert not any(is_count(x) for x in (-1, 2**63, 1.0, True, None, "1"))
    assert [is_number(x) for x in (-1, 1.5)] == [True, True]
    assert not any(is_number(x) for x in (float("nan"), float("inf"), True, "1", None))
    assert is_tally({"ok": 1})
    assert not any(is_tally(x) for x in ([], {"ok": -1}, {"ok": "1"}, None))


@pytest.mark.parametrize("name", ["00000", "00000-1", "a_B", "20261124-ab"])
def test_a_plain_name_may_stand_in_a_path(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\0", "a\n", "-a", "_a", "n" * 101, "é", 5, None]
)
def test_other_names_may_not(name: Any) -> None:
    assert not is_plain_name(name)
