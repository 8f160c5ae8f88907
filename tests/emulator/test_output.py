from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchkit.emulator import serve

from .client import Client, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock

KEYS = [f"row-{number}" for number in range(200)]
# A lone surrogate is no UTF-8, and cannot be uploaded.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def output_keys(client: Client, keys: list[str]) -> list[str]:
    job = client.create_from_lines([generate_line(key) for key in keys])
    return [line["key"] for line in client.output(job)]


def test_rows_come_back_each_once_and_in_another_order(client: Client) -> None:
    keys = output_keys(client, KEYS)
    assert keys != KEYS
    assert sorted(keys) == sorted(KEYS)


def test_also_two_rows_change_places(client: Client) -> None:
    for _ in range(5):
        assert output_keys(client, ["a", "b"]) == ["b", "a"]


def test_order_follows_from_the_seed(clock: Clock) -> None:
    orders: list[list[str]] = []
    for seed in (1, 1, 2):
        with serve(clock=clock, seed=seed) as emulator:
            client = Client(emulator)
            orders.append(output_keys(client, KEYS))
            client.session.close()
    assert orders[0] == orders[1] != orders[2]


def test_the_response_stands_before_the_key_and_its_fields_in_either_order(client: Client) -> None:
    job = client.create_from_lines([generate_line(key) for key in KEYS])
    lines = client.output(job)
    assert {tuple(line) for line in lines} == {("response", "key")}
    assert len({tuple(line["response"]) for line in lines}) == 2


def test_a_keyless_row_comes_back_keyless(client: Client) -> None:
    job = client.create_from_lines([generate_line("a")["request"]])
    assert [list(line) for line in client.output(job)] == [["response"]]


def test_rows_with_one_key_are_all_answered(client: Client) -> None:
    assert output_keys(client, ["same", "same", "other"]).count("same") == 2


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(keys=st.lists(TEXTS, min_size=1, max_size=20), text=TEXTS)
def test_any_keys_and_texts_come_back_as_many_as_went(
    client: Client, keys: list[str], text: str
) -> None:
    job = client.create_from_lines([generate_line(key, text) for key in keys])
    lines = client.output(job)
    assert sorted(line["key"] for line in lines) == sorted(keys)
    assert all("candidates" in line["response"] for line in lines)
