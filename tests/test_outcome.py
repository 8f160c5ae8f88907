from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from batchkit.fields import Service, field_table
from batchkit.outcome import (
    STATUSES,
    Response,
    Status,
    finish_status,
    response_batch,
    response_schema,
)

REASONS = sorted(
    {
        reason
        for service in get_args(Service)
        for reason in field_table(service).enum(
            (field_table(service).message("Candidate") or {})["finishReason"].type
        )
        or ()
    }
)
# https://ai.google.dev/api/generate-content#FinishReason
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#FinishReason
MEANINGS: dict[Status, set[str]] = {
    "ok": {"STOP"},
    "truncated": {"MAX_TOKENS", "CONTINUATION"},
    "blocked": {
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    },
    "empty": {"NO_IMAGE"},
    "malformed": {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"},
    "error": {
        *("OTHER", "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
        *("MISSING_THOUGHT_SIGNATURE", "FINISH_REASON_UNSPECIFIED"),
    },
}


def test_both_field_tables_name_finish_reasons() -> None:
    assert {"STOP", "MISSING_THOUGHT_SIGNATURE", "MODEL_ARMOR"} <= set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_a_finish_reason_of_either_service_means_one_status(reason: str) -> None:
    meant = [status for status, reasons in MEANINGS.items() if reason in reasons]
    assert meant == [finish_status(reason)]


def test_the_documentation_names_each_reason_beside_its_status() -> None:
    page = (Path(__file__).parent.parent / "docs" / "outcomes.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    assert list(rows) == list(STATUSES)
    for reason in set(REASONS) - {"STOP"}:
        named = [status for status, when in rows.items() if re.search(rf"\b{reason}\b", when)]
        assert named == [finish_status(reason)], reason


@pytest.mark.parametrize("reason", ["NEW_IN_2027", "stop", "0", ""])
def test_a_finish_reason_of_neither_is_an_error(reason: str) -> None:
    assert finish_status(reason) == "error"


def test_only_stop_is_an_answer_as_it_should_be() -> None:
    assert [reason for reason in REASONS if finish_status(reason) == "ok"] == ["STOP"]


def test_every_status_is_one_of_nine() -> None:
    assert len(set(STATUSES)) == len(STATUSES) == 9
    assert {finish_status(reason) for reason in REASONS} < set(STATUSES)


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_responses_are_rows_in_the_order_given() -> None:
    responses = [
        Response("a", "ok", text="A", finish_reason="STOP", prompt_tokens=2**53 + 1, notes=("n",)),
        Response("b", "error", error_code="INTERNAL", error_message="no"),
    ]
    batch = response_batch(responses, ["response"])
    assert batch.schema.equals(response_schema(["response"]))
    first, second = batch.to_pylist()
    assert first == {
        "response": "A",
        "status": "ok",
        "finish_reason": "STOP",
        "error_code": None,
        "error_message": None,
        "prompt_tokens": 2**53 + 1,
        "output_tokens": None,
        "thoughts_tokens": None,
        "cached_tokens": None,
        "total_tokens": None,
        "model_version": None,
        "notes": ["n"],
    }
    assert (second["response"], second["status"], second["notes"]) == (None, "error", [])
    assert (second["error_code"], second["error_message"]) == ("INTERNAL", "no")


def test_vectors_of_any_length_stand_in_one_column_with_nulls_between() -> None:
    vectors = [None, vector(1, 2), None, vector(3), vector(4, 5, 6), None]
    responses = [Response(None, "ok" if v is not None else "error", embedding=v) for v in vectors]
    column = response_batch(responses, ["embedding"]).column("embedding")
    assert column.type == pa.list_(pa.float32())
    assert column.null_count == 3
    assert column.to_pylist() == [None, [1, 2], None, [3], [4, 5, 6], None]


@pytest.mark.parametrize("answers", [["response"], ["embedding"], ["response", "embedding"]])
def test_no_responses_are_an_empty_batch_of_the_same_columns(answers: list[str]) -> None:
    batch = response_batch([], answers)
    assert batch.num_rows == 0
    assert batch.schema.equals(response_schema(answers))
    assert batch.schema.names[: len(answers)] == answers
    only_failed = response_batch([Response(None, "missing")], answers)
    assert [only_failed.column(name).null_count for name in answers] == [1] * len(answers)
