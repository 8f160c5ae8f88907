from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.errors import ApiError
from batchkit.emulator.paging import page_token, requested_page


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@settings(deadline=None)
@given(sequence=st.integers(0, 10**18 - 1))
def test_a_token_leads_to_what_comes_before_its_entry(sequence: int) -> None:
    page = requested_page({"pageToken": page_token(sequence)}, default=10, largest=100)
    assert page.before == sequence


def test_a_list_begins_before_every_entry_there_can_be() -> None:
    for query in ({}, {"pageToken": ""}, {"page_token": ""}):
        assert requested_page(query, default=10, largest=100).before > 10**18


@pytest.mark.parametrize(
    "query, size",
    [
        ({}, 10),
        ({"pageSize": "0"}, 10),
        ({"pageSize": "7"}, 7),
        ({"page_size": "7"}, 7),
        ({"pageSize": "100"}, 100),
        ({"pageSize": "101"}, 100),
        ({"pageSize": "2147483647"}, 100),
    ],
)
def test_a_size_is_what_was_asked_for_up_to_the_largest(query: dict[str, str], size: int) -> None:
    assert requested_page(query, default=10, largest=100).size == size


@pytest.mark.parametrize("size", ["", "-1", "1.0", "ten", " 5", "٣", "2147483648", "9" * 5000])
def test_a_size_that_is_no_number_is_refused(size: str) -> None:
    with pytest.raises(ApiError, match="page_size"):
        requested_page({"pageSize": size}, default=10, largest=100)


@pytest.mark.parametrize(
    "token",
    [
        "%%%",
        "a",
        "é",
        encoded("5"),
        encoded("after:5"),
        encoded("before:"),
        encoded("before:-5"),
        encoded("before:1_0"),
        encoded("before:٣"),
        encoded("before:5 "),
        encoded("before:" + "9" * 19),
    ],
)
def test_a_token_that_was_never_given_out_is_refused(token: str) -> None:
    with pytest.raises(ApiError, match="Invalid page token"):
        requested_page({"pageToken": token}, default=10, largest=100)
