from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.join import Join

if TYPE_CHECKING:
    from batchkit.join import Placement

KEYS = ["a", "b", "c", "d"]
# A line as key and text; keys that no row has, and none at all, among them.
LINES = st.lists(
    st.tuples(st.sampled_from([*KEYS, "x", "", None]), st.sampled_from(["1", "2", "3"]))
)


def placed(lines: list[tuple[str | None, str]]) -> tuple[Join, list[tuple[Placement, int]]]:
    join = Join(KEYS)
    return join, [join.place(key, text.encode()) for key, text in lines]


def test_a_line_is_joined_by_its_key_alone() -> None:
    join, placements = placed([("c", "1"), ("a", "1"), ("b", "1")])
    assert placements == [("joined", 2), ("joined", 0), ("joined", 1)]
    assert join.unanswered() == [3]
    assert join.counts == {"joined": 3}


def test_a_byte_equal_repeat_changes_nothing_and_is_counted() -> None:
    join, placements = placed([("a", "1"), ("a", "1"), ("a", "1")])
    assert placements == [("joined", 0), ("repeated", 0), ("repeated", 0)]
    assert not join.conflicts
    assert join.counts == {"joined": 1, "repeated": 2}


def test_a_differing_answer_makes_a_conflict_whichever_comes_first() -> None:
    for texts in (("1", "2"), ("2", "1")):
        join, placements = placed([("a", text) for text in texts])
        assert placements == [("joined", 0), ("conflict", 0)]
        assert list(join.conflicts) == [0]
        assert join.unanswered() == [1, 2, 3]


def test_repeats_in_a_conflict_are_counted_the_same_in_any_order() -> None:
    for texts in ("122", "212", "221"):
        join, _ = placed([("a", text) for text in texts])
        assert join.counts == {"joined": 1, "conflict": 1, "repeated": 1}


def test_a_key_no_row_has_and_no_key_are_joined_to_nothing() -> None:
    join, placements = placed([("x", "1"), (None, "1"), ("", "1")])
    assert placements == [("unknown", -1), ("unkeyed", -1), ("unknown", -1)]
    assert join.unanswered() == [0, 1, 2, 3]


def test_an_empty_key_is_a_key() -> None:
    join = Join(["", "a"])
    assert join.place("", b"1") == ("joined", 0)
    assert (join.position(""), join.position(None), join.position("b")) == (0, None, None)


def test_a_shard_without_requests_has_nothing_unanswered() -> None:
    join = Join([])
    assert join.place("a", b"1") == ("unknown", -1)
    assert join.unanswered() == []


@settings(deadline=None)
@given(lines=LINES, data=st.data())
def test_the_order_of_the_lines_means_nothing(
    lines: list[tuple[str | None, str]], data: st.DataObject
) -> None:
    one, _ = placed(lines)
    other, _ = placed(data.draw(st.permutations(lines)))
    assert one.counts == other.counts
    assert set(one.conflicts) == set(other.conflicts)
    assert one.unanswered() == other.unanswered()


@settings(deadline=None)
@given(LINES)
def test_every_line_is_one_placement_and_every_row_one_of_three(
    lines: list[tuple[str | None, str]],
) -> None:
    join, placements = placed(lines)
    assert join.counts == Counter(placement for placement, _ in placements)
    answers = {key: {text for named, text in lines if named == key} for key in KEYS}
    assert join.unanswered() == [i for i, key in enumerate(KEYS) if not answers[key]]
    assert sorted(join.conflicts) == [i for i, key in enumerate(KEYS) if len(answers[key]) > 1]
    joined = sorted(position for placement, position in placements if placement == "joined")
    assert joined == [i for i, key in enumerate(KEYS) if answers[key]]
