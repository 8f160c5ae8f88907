from __future__ import annotations

import gzip

import pytest
import requests

from batchkit.errors import ServiceError
from batchkit.reply import held, said_in
from tests.scripted import Said, scripted


def reply(said: Said, headers: dict[str, str] | None = None) -> requests.Response:
    with scripted(said) as server:
        response = requests.get(server.url, headers=headers, stream=True, timeout=10)
        return held(response, "x.y", most_bytes=1000)


def test_a_body_is_held_to_be_read_again_and_again() -> None:
    response = reply(Said(body=b"x" * 1000))
    assert response.content == response.content == b"x" * 1000


def test_a_body_that_is_longer_than_its_bound_is_refused() -> None:
    with pytest.raises(ServiceError, match=r"x\.y: 200 TOO_LONG: .* longer than 1,000 bytes"):
        reply(Said(body=b"x" * 1001))


def test_a_compressed_body_is_bounded_by_what_it_becomes() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(ServiceError, match="TOO_LONG"):
        reply(Said(body=bomb, headers={"Content-Encoding": "gzip"}))


def test_of_an_error_the_beginning_is_enough() -> None:
    response = reply(Said(500, b"y" * 3_000_000))
    assert 0 < len(response.content) <= 1 << 20


@pytest.mark.parametrize("header", [("x-goog-api-key", "a-key"), ("Authorization", "Bearer a-key")])
def test_a_key_that_the_service_repeats_is_taken_out(header: tuple[str, str]) -> None:
    response = reply(Said(403, b"the key a-key is wrong"), dict([header]))
    assert said_in(response).decode() == "the key … is wrong"


def test_a_reply_to_nobody_is_as_it_is() -> None:
    response = requests.Response()
    vars(response)["_content"] = b"said"
    assert said_in(response) == b"said"
