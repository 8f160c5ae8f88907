from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from batchkit.echoes import Echoes, Settlement

HASHES = ["h1", "h2", "h2", "h3", "h3", "h3", None]
# A line as the hash of the request it echoes, and its text.
LINES = st.lists(st.tuples(st.sampled_from(["h1", "h2", "h3", "h9"]), st.sampled_from("xyz")))


def settled(lines: list[tuple[str, str]], unanswered: list[int] | None = None) -> Settlement:
    echoes = Echoes()
    for number, (request_hash, text) in enumerate(lines, start=1):
        echoes.add(request_hash, f"{request_hash} {text}".encode(), number)
    return echoes.settle(HASHES, range(len(HASHES)) if unanswered is None else unanswered)


def test_an_answer_goes_to_the_row_that_asked_what_it_echoes() -> None:
    found = settled([("h3", "x"), ("h1", "y")])
    assert found.joined == {1: 3, 2: 0}
    assert found.counts == {"joined": 2}


def test_rows_that_asked_the_same_get_an_answer_each() -> None:
    found = settled([("h2", "x"), ("h2", "y")])
    assert sorted(found.joined.values()) == [1, 2]
    assert not found.conflicts


def test_equal_answers_to_equal_questions_are_no_repeats() -> None:
    found = settled([("h2", "x"), ("h2", "x"), ("h2", "x")])
    assert sorted(found.joined.values()) == [1, 2]
    assert list(found.others.values()) == ["repeated"]


def test_more_differing_answers_than_rows_are_a_conflict_of_them_all() -> None:
    found = settled([("h2", "x"), ("h2", "y"), ("h2", "z"), ("h1", "x")])
    assert found.conflicts == {1, 2}
    assert found.joined == {4: 0}
    assert found.counts == {"joined": 1, "conflict": 3}


def test_an_echo_that_no_row_asked_is_kept_aside() -> None:
    assert settled([("h9", "x")]).others == {1: "unknown"}


def test_a_row_that_has_its_answer_waits_for_no_echo() -> None:
    assert settled([("h1", "x")], [1, 2]).others == {1: "unknown"}


def test_nothing_waits_where_nothing_was_added() -> None:
    assert not Echoes()
    assert settled([]).counts == {}


@given(LINES, st.randoms(use_true_random=False), st.sets(st.integers(0, len(HASHES) - 1)))
def test_the_order_of_lines_means_nothing(
    lines: list[tuple[str, str]], random: object, unanswered: set[int]
) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]
    open_rows = sorted(unanswered)
    one, other = settled(lines, open_rows), settled(shuffled, open_rows)
    assert one.counts == other.counts
    assert one.conflicts == other.conflicts
    assert answers(lines, one) == answers(shuffled, other)


def answers(lines: list[tuple[str, str]], found: Settlement) -> dict[int, tuple[str, str]]:
    return {position: lines[number - 1] for number, position in found.joined.items()}


@given(LINES)
def test_every_line_is_placed_once_and_no_row_twice(lines: list[tuple[str, str]]) -> None:
    found = settled(lines)
    assert sorted([*found.joined, *found.others]) == list(range(1, len(lines) + 1))
    assert max(Counter(found.joined.values()).values(), default=1) == 1
    assert not found.conflicts & set(found.joined.values())
    for number, position in found.joined.items():
        assert HASHES[position] == lines[number - 1][0]
