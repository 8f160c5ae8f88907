from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.disorder import seeded_order

PINNED = [4, 0, 5, 3, 1, 7, 6, 2]


@settings(deadline=None)
@given(seed=st.text(max_size=8), count=st.integers(0, 50))
def test_an_order_has_every_number_once_and_is_never_their_own(seed: str, count: int) -> None:
    order = seeded_order(seed, count).tolist()
    assert sorted(order) == list(range(count))
    assert order != list(range(count)) or count < 2


def test_an_order_is_the_same_on_every_machine() -> None:
    assert seeded_order("seed", 8).tolist() == PINNED
