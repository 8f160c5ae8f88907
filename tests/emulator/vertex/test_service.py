from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import VertexService


def labelled(number: int, text: str, role: str = "user") -> dict[str, Any]:
    content = {"role": role, "parts": [{"text": text}]}
    return {"request": {"contents": [content], "labels": {"batchkit": f"bk-{number}"}}}


def put(vertex: VertexService, name: str, lines: list[Any]) -> str:
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with vertex.emulator.storage.create(vertex.uri(name)) as stream:
        stream.write(data)
    return vertex.uri(name)


def test_a_job_reads_objects_and_its_responses_are_read_back(vertex: VertexService) -> None:
    lines = [labelled(number, f"Hello {number}") for number in range(5)]
    uri = put(vertex, "in.jsonl", [*lines, labelled(5, "Hello", role="tester")])
    batches = vertex.client.batches
    job = batches.wait(
        batches.create("gemini-3.5-flash", gcs_uri=uri, destination=vertex.uri("out"))
    )
    responses = {response.label: response for response in batches.get_responses(job)}
    assert [responses[f"bk-{number}"].text for number in range(5)] == [
        f"Echo: Hello {number}" for number in range(5)
    ]
    assert responses["bk-5"].error_message == "Please use a valid role: user, model."
    assert vertex.paid() == {f"bk-{number}": 1 for number in range(6)}
