from __future__ import annotations

import json
import pickle

import pytest

from batchkit.emulator import AnswerError
from batchkit.emulator.errors import ApiError, http_status, status_name


@pytest.mark.parametrize(
    "code, name, status",
    [
        (3, "INVALID_ARGUMENT", 400),
        (5, "NOT_FOUND", 404),
        (8, "RESOURCE_EXHAUSTED", 429),
        (13, "INTERNAL", 500),
        (429, "RESOURCE_EXHAUSTED", 429),
        (500, "INTERNAL", 500),
        (416, "UNKNOWN", 416),
        (99, "UNKNOWN", 500),
    ],
)
def test_a_code_has_a_name_and_an_http_status(code: int, name: str, status: int) -> None:
    assert (status_name(code), http_status(code)) == (name, status)


def test_the_body_is_googles_envelope_without_empty_details() -> None:
    assert json.loads(ApiError(5, "gone").body()) == {
        "error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}
    }


def test_an_answer_error_says_what_it_is_and_survives_a_pickle() -> None:
    error = AnswerError(13, "sorry", [{"a": 1}])
    assert str(error) == "13 INTERNAL: sorry"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.code, again.message) == (13, "sorry")
