from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import Quirks, serve

from .client import BUCKET, VertexClient, generate_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Clock

SAMPLES = Path(__file__).parents[2] / "samples" / "vertex_generate_gcs"


@pytest.fixture
def old(clock: Clock) -> Iterator[VertexClient]:
    """An emulator that echoes as the service did in 2024."""
    with serve(clock=clock, buckets=[BUCKET], quirks=Quirks(echo="2024")) as emulator:
        client = VertexClient(emulator)
        yield client
        client.session.close()


def echo_of(client: VertexClient, request: dict[str, Any]) -> Any:
    (line,) = client.output(client.run([{"request": request}]))
    return line["request"]


def test_values_come_back_as_they_were_sent_with_sorted_keys(here: VertexClient) -> None:
    request = {
        "system_instruction": {"parts": {"text": "s"}},
        "contents": [{"role": "user", "parts": [{"text": "☃\u2028😀", "thought": None}]}],
        "generationConfig": {"topK": 1.0, "max_output_tokens": "99"},
    }
    job = here.run([{"request": request}])
    with here.emulator.storage.open(
        f"{job['outputInfo']['gcsOutputDirectory']}/predictions.jsonl"
    ) as stream:
        (line,) = stream.readlines()
    sent = json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert f'"request":{sent},'.encode() in line


# The published line is of this input, by another picture:
# https://github.com/GoogleCloudPlatform/generative-ai/blob/main/gemini/batch-prediction/intro_batch_prediction.ipynb
def test_in_2024_parts_have_the_same_fields_with_nulls(old: VertexClient) -> None:
    sent = json.loads((SAMPLES / "input_generative-ai_notebook_cell18.jsonl").read_bytes())
    published = json.loads((SAMPLES / "output_generative-ai_notebook_cell30.jsonl").read_bytes())
    found = echo_of(old, sent["request"])
    file = published["request"]["contents"][0]["parts"][1]["file_data"]
    file["file_uri"] = sent["request"]["contents"][0]["parts"][1]["file_data"]["file_uri"]
    assert found["contents"] == published["request"]["contents"]


def test_in_2024_names_of_the_service_are_in_snake_case_and_the_users_stay(
    old: VertexClient,
) -> None:
    call = {"functionCall": {"name": "getThing", "args": {"camelCase": 1}}}
    request = {
        "contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [call, {"text": "y"}]},
        ],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "labels": {"camelCase": "a"},
    }
    assert echo_of(old, request) == {
        "contents": [
            {"role": "user", "parts": {"file_data": None, "text": "x"}},
            {
                "role": "model",
                "parts": [
                    {"file_data": None, "text": None, "function_call": call["functionCall"]},
                    {"file_data": None, "text": "y", "function_call": None},
                ],
            },
        ],
        "system_instruction": {"parts": {"file_data": None, "text": "s"}},
        "labels": {"camelCase": "a"},
    }


def test_in_2024_a_line_begins_with_its_status(old: VertexClient) -> None:
    (line,) = old.output(old.run([generate_line("Hello")]))
    assert list(line) == ["status", "processed_time", "request", "response"]


@pytest.mark.parametrize("parts", ["x", [1], [], {"text": "x"}, None])
def test_in_2024_what_is_no_request_still_comes_back(old: VertexClient, parts: Any) -> None:
    content = {"role": "user", "parts": parts}
    assert echo_of(old, {"contents": [content]})["contents"][0]["parts"] == parts
