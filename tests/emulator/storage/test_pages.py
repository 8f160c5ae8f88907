from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchkit.emulator.storage.errors import StorageError
from batchkit.emulator.storage.pages import after, after_prefix, page_start, page_token

# Names as lists order them: by code point, surrogates not among them.
names = st.text(
    st.sampled_from("a/\0\x7f\ud7ff\ue000\U0010ffff") | st.characters(exclude_categories=["Cs"]),
    max_size=4,
)


@given(names.filter(bool), names)
@example("\ud7ff", "\ue000")
@example("a\U0010ffff", "b")
@example("\U0010ffff", "\U0010ffff\U0010ffff")
def test_after_a_prefix_comes_what_does_not_begin_with_it(prefix: str, name: str) -> None:
    bound = after_prefix(prefix)
    is_after = name > prefix and not name.startswith(prefix)
    assert (bound is not None and name >= bound) == is_after
    assert bound is None or bound.encode()


@given(names, names)
def test_after_a_name_comes_every_greater_one(name: str, other: str) -> None:
    assert (other >= after(name)) == (other > name)


@given(names)
def test_a_token_leads_to_where_it_was_made(name: str) -> None:
    assert page_start({"pageToken": page_token(name)}) == name


def test_a_token_nobody_made_is_refused() -> None:
    for token in ("*", "abc", "_w=="):
        with pytest.raises(StorageError, match="Invalid page token"):
            page_start({"pageToken": token})
